from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from lungfish.training import saving
from lungfish.training.group import Group
from lungfish.training.saving import Saver


class Signals:
    """Remembers that the run was stopped."""

    def __init__(self, *, asked: bool) -> None:
        self.asked, self.stopped = asked, False

    def stop(self) -> None:
        self.stopped = True


def saver(signals: Signals) -> Any:
    return Saver(SimpleNamespace(), None, Group(), signals)  # type: ignore[arg-type]


def test_a_run_that_is_asked_to_stop_is_saved_though_it_is_not_time() -> None:
    signals = Signals(asked=True)
    assert saver(signals).save_if_due(epoch_ended=False)
    assert signals.stopped


def test_a_run_that_nobody_asks_is_saved_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(asked=False)
    run = saver(signals)
    assert not run.save_if_due(epoch_ended=False)
    later = time.monotonic() + saving.EVERY_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert run.save_if_due(epoch_ended=False)
    assert not run.save_if_due(epoch_ended=False)
    assert not signals.stopped
