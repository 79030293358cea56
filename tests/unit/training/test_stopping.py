"""Who is heard between two steps: signals, the token of the job, other processes of the group."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lungfish.core.errors import StoppedError, WorkerError
from lungfish.core.stopping import StopToken
from lungfish.training.stopping import StopsBetweenSteps

Handlers = Callable[[int, object], None]


@pytest.fixture
def handle_sigterm() -> Iterator[Callable[[Handlers | signal.Handlers], object]]:
    before = signal.getsignal(signal.SIGTERM)
    yield lambda handler: signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGTERM, before)


def test_a_token_that_was_stopped_is_obeyed_at_the_end_too() -> None:
    token = StopToken()
    assert not StopsBetweenSteps(token).asked
    with pytest.raises(StoppedError, match="was stopped on request"), StopsBetweenSteps(token):
        token.stop()


def test_a_parent_stops_a_job_and_not_the_other_way_round() -> None:
    parent = StopToken()
    child = StopToken(parent)
    StopToken(parent).stop()
    child.check()
    parent.stop()
    with pytest.raises(StoppedError):
        child.check()


def test_a_signal_whose_handler_returns_lets_the_run_go_on(handle_sigterm: Callable[..., object]) -> None:
    heard = []
    handle_sigterm(lambda number, _frame: heard.append(number))
    token = StopToken()
    with StopsBetweenSteps(token) as stops:
        signal.raise_signal(signal.SIGTERM)
        assert stops.asked
        assert heard == []
        stops.stop()
        assert not stops.asked
    assert heard == [signal.SIGTERM]
    assert not token.is_requested


def test_a_signal_that_would_have_killed_the_process_is_an_interrupt(handle_sigterm: Callable[..., object]) -> None:
    handle_sigterm(signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), StopsBetweenSteps(StopToken()):
        signal.raise_signal(signal.SIGTERM)


def test_another_process_of_the_group_was_asked(handle_sigterm: Callable[..., object]) -> None:
    heard = []
    handle_sigterm(lambda number, _frame: heard.append(number))
    with StopsBetweenSteps(StopToken()) as stops:
        stops.stop()
    assert heard == [signal.SIGTERM]

    def elsewhere() -> None:
        with StopsBetweenSteps(StopToken()) as stops:
            stops.stop()

    with ThreadPoolExecutor(1) as pool, pytest.raises(StoppedError, match="another process of the group"):
        pool.submit(elsewhere).result()  # no thread but the main one hears of signals


def test_workers_that_a_token_did_not_end_have_failed() -> None:
    token = StopToken()
    token.stop()
    stops = StopsBetweenSteps(token)
    with pytest.raises(WorkerError), stops.excusing(WorkerError):
        raise WorkerError("a worker died")
