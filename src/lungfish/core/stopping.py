"""A request to stop a job, from any thread."""

from __future__ import annotations

import threading

from lungfish.core.errors import StoppedError


class StopToken:
    """Stops a job: give it to `lungfish.train`, and call `stop` in any thread.

    The job ends between two steps, after what it has learned is saved, with `StoppedError`. The same call resumes it.
    A token that was used stays so: take another one for the next job.

    Args:
        parent: A token that stops this job as well.
    """

    def __init__(self, parent: StopToken | None = None) -> None:
        self._parent, self._requested = parent, threading.Event()

    def stop(self) -> None:
        """Ask the job to stop, and return at once."""
        self._requested.set()

    @property
    def is_requested(self) -> bool:
        """Whether the job is to stop."""
        return self._requested.is_set() or (self._parent is not None and self._parent.is_requested)

    def check(self) -> None:
        """Raise `StoppedError` if the job is to stop."""
        if self.is_requested:
            raise StoppedError("the job was stopped, as was asked for", "The same call resumes it.")
