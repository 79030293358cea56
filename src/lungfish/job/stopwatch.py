"""Measure the wall-clock seconds of the phases of a job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Times named phases, and the total since its creation."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._phases: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block; phases of the same name add up."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._phases[name] = self._phases.get(name, 0.0) + time.monotonic() - began

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each phase so far, `total` last."""
        phases = self._phases | {"total": time.monotonic() - self._began}
        return {name: round(seconds, 2) for name, seconds in phases.items()}
