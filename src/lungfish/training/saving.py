"""When a run is saved: at the end of an epoch, now and then within one, and when it is asked to stop."""

from __future__ import annotations

import time

from lungfish.training.checkpoint import Checkpoint, Checkpoints
from lungfish.training.group import Group
from lungfish.training.state import State
from lungfish.training.stopping import StopsBetweenSteps

EVERY_S = 20.0  # within an epoch
SHARE = 0.05  # of the time, at most, goes into saving


class Saver:
    """The checkpoints of one run as it goes; every process of the group asks at the same moments.

    Args:
        state: of the run.
        checkpoints: where it is kept, or None.
        group: of the run; its first process writes.
        stops: a run that was asked to stop is saved, and stops.
    """

    def __init__(self, state: State, checkpoints: Checkpoints | None, group: Group, stops: StopsBetweenSteps) -> None:
        self._state, self._checkpoints, self._group, self._stops = state, checkpoints, group, stops
        self._rested = time.monotonic()  # once saving has not taken more than its share
        self._next = self._rested + EVERY_S

    def save_if_due(self, *, epoch_ended: bool) -> bool:
        """Save if it is time; whether it was. Raises `StorageError`, `StoppedError`, and what a signal raises."""
        due = time.monotonic() >= (self._rested if epoch_ended else self._next)
        asked, due = (count > 0 for count in self._group.sum([self._stops.asked, due]))
        if asked or due:
            self.save()
        if asked:
            self._stops.stop()
        return asked or due

    def save(self) -> None:
        """Save. Raises `StorageError`."""
        began = time.monotonic()
        if self._checkpoints:
            parts = self._state.state_dict()
            if self._group.is_main:
                self._checkpoints.save(Checkpoint.of_parts(self._state.step, parts))
        ended = time.monotonic()
        self._rested = ended + (ended - began) / SHARE
        self._next = max(self._rested, ended + EVERY_S)
