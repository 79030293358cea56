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
    """Holds signals back within its block, until `if_asked`; a second signal does not wait.

    Outside the main thread, where signals never come, it does nothing.
    """

    def __init__(self) -> None:
        self._asked: int | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self._asked is not None

    def if_asked(self, *, elsewhere: bool = False) -> None:
        """Do now what the signal would have done when it came.

        Args:
            elsewhere: whether another process of the group was asked; then this one ends as by SIGTERM.
        """
        number = self._asked or (int(signal.SIGTERM) if elsewhere else None)
        self._asked = None
        if number is None or number not in self._handlers:
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
            self.if_asked()
            raise

    def __enter__(self) -> StopsBetweenSteps:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
            self._handlers = {int(number): signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.if_asked()
        self._asked = number
