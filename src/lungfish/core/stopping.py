"""Ask a job to stop, from any thread."""

from __future__ import annotations

import threading

from lungfish.core.errors import StoppedError


class StopToken:
    """A token that stops a job: pass it to `lungfish.train`, and call `stop` from any thread.

    The job saves its progress, then raises `StoppedError` between two steps. The same call resumes it.
    A token cannot be reset: create a new one for the next job.

    Args:
        parent: Another token that stops this job as well.

    Example:
        >>> stop = lungfish.StopToken()
        >>> threading.Timer(600, stop.stop).start()
        >>> lungfish.train("photos", "fruit", stop=stop)  # StoppedError after 10 minutes
    """

    def __init__(self, parent: StopToken | None = None) -> None:
        self._parent, self._requested = parent, threading.Event()

    def stop(self) -> None:
        """Ask the job to stop, and return immediately."""
        self._requested.set()

    @property
    def is_requested(self) -> bool:
        """Whether the job should stop."""
        return self._requested.is_set() or (self._parent is not None and self._parent.is_requested)

    def check(self) -> None:
        """Raise `StoppedError` if the job should stop."""
        if self.is_requested:
            raise StoppedError("the job was stopped on request", "The same call resumes it.")
