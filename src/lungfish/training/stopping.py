"""Ctrl-C and SIGTERM wait for the end of a step, so that what is saved is a whole step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopsBetweenSteps:
    """Holds signals back within its block, until `stop`; a second signal does not wait.

    Outside the main thread, where signals never come, it does nothing.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._asked is not None

    def stop(self) -> None:
        """Do now what the signal would have done when it came; if it came to another process of the group, SIGTERM."""
        number = self._asked or int(signal.SIGTERM)
        self._asked = None
        if number not in self._handlers:
            return
        handler = self._handlers[number]
        if not callable(handler):
            raise KeyboardInterrupt
        handler(number, None)

    @contextmanager
    def excusing(self, error: type[Exception]) -> Iterator[None]:
        """A block in which an error that comes of the signal, sent to our workers too, gives way to it."""
        try:
            yield
        except error:
            if self.asked:
                self.stop()
            raise

    def __enter__(self) -> StopsBetweenSteps:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
            self._handlers = {int(number): signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None and self.asked:
            self.stop()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            self.stop()
        self._asked = number
