"""Delay Ctrl-C, SIGTERM and stop tokens until the end of a step, so that only whole steps are saved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lungfish.core.errors import StoppedError
from lungfish.core.stopping import StopToken

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopsBetweenSteps:
    """Delays signals within its block until `stop` is called; a second signal takes effect at once.

    Signals reach only the main thread; in other threads only the token counts. A signal does not set the token, which
    belongs to the caller: if the original handler of the signal returns, training continues.

    Args:
        token: Stop token of the job.
    """

    def __init__(self, token: StopToken) -> None:
        self._token = token
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether this process was asked to stop."""
        return self._signal is not None or self._token.is_requested

    def stop(self) -> None:
        """Call the handler of the delayed signal, or raise `StoppedError`.

        If another process of the group was asked to stop, call this program's SIGTERM handler, if it has one.
        """
        number, self._signal = self._signal, None
        if number is None:
            self._token.check()
        handler = self._handlers.get(number or int(signal.SIGTERM))
        if callable(handler):
            handler(number or int(signal.SIGTERM), None)
        elif number is not None:
            raise KeyboardInterrupt
        else:
            raise StoppedError(
                "another process of the group was stopped", "Run the same command in every process to resume."
            )

    @contextmanager
    def excusing(self, error: type[Exception]) -> Iterator[None]:
        """Stop if the block raises `error` while a signal is pending: workers receive the signal too, and fail."""
        try:
            yield
        except error:
            if self._signal is not None:
                self.stop()
            raise

    def __enter__(self) -> StopsBetweenSteps:
        if threading.current_thread() is threading.main_thread():
            handled = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
            self._handlers = {int(number): signal.signal(number, self._note) for number in handled}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None and self.asked:
            self.stop()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is not None:
            self.stop()
        self._signal = number
