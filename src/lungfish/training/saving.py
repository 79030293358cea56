"""Save a run: after each epoch, at intervals within one, and when it is asked to stop."""

from __future__ import annotations

import time

from lungfish.training.checkpoint import Checkpoint, Checkpoints
from lungfish.training.group import Group
from lungfish.training.state import State
from lungfish.training.stopping import StopsBetweenSteps

EVERY_S = 20.0  # interval within an epoch
SHARE = 0.05  # largest share of the time spent on saving


class Saver:
    """Saves the checkpoints of one run; every process of the group calls it at the same moments.

    Args:
        state: State of the run.
        checkpoints: Checkpoints of the run, or None to save nothing.
        group: Group of the run; its main process writes.
        stops: Stop requests; on request the run is saved, then stopped.
    """

    def __init__(self, state: State, checkpoints: Checkpoints | None, group: Group, stops: StopsBetweenSteps) -> None:
        self._state, self._checkpoints, self._group, self._stops = state, checkpoints, group, stops
        self._rested = time.monotonic()  # earliest next save that keeps saving within SHARE of the time
        self._next = self._rested + EVERY_S

    def save_if_due(self, *, epoch_ended: bool) -> bool:
        """Save if a checkpoint is due or a stop was requested, and return whether either was the case.

        Raises:
            StorageError: The checkpoint cannot be written.
            StoppedError: The run was asked to stop; after a signal, its handler decides what is raised.
        """
        due = time.monotonic() >= (self._rested if epoch_ended else self._next)
        asked, due = (count > 0 for count in self._group.sum([self._stops.asked, due]))
        if asked or due:
            self.save()
        if asked:
            self._stops.stop()
        return asked or due

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            StorageError: The checkpoint cannot be written.
        """
        began = time.monotonic()
        if self._checkpoints:
            parts = self._state.state_dict()
            if self._group.is_main:
                self._checkpoints.save(Checkpoint.of_parts(self._state.step, parts))
        ended = time.monotonic()
        self._rested = ended + (ended - began) / SHARE
        self._next = max(self._rested, ended + EVERY_S)
