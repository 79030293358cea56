"""Pass a job's events to its listeners, and requests to stop to the job.

On stderr, events appear as bars, plain lines or JSON; Python callers can add listeners.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lungfish.core.events import Advanced, EpochEnded, Event, Listener, Logged, StageEnded, StageStarted, Warned
from lungfish.core.names import choose
from lungfish.core.stopping import StopToken

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Advance = Callable[[int], None]
PLAIN_EVERY_S = 30.0
WAYS = ("auto", "plain", "json", "none")


class Progress:
    """Pass events of a workflow to listeners, and carry the token that stops it.

    Args:
        listeners: Functions that are called with every event.
        stop: Token that long workflows check.
    """

    def __init__(self, *listeners: Listener, stop: StopToken | None = None) -> None:
        self._listeners = listeners
        self.stop = stop or StopToken()

    def muted(self) -> Progress:
        """Return a `Progress` without listeners that shares the stop token."""
        return Progress(stop=self.stop)

    def emit(self, event: Event) -> None:
        """Pass an event to every listener."""
        for listener in self._listeners:
            listener(event)

    @contextmanager
    def task(self, description: str, total: int, done: int = 0) -> Iterator[Advance]:
        """Start a stage and yield a function to call with the number of units done since the last call.

        Args:
            description: Name of the stage.
            total: Units of work.
            done: Units done by an earlier process.
        """
        began, completed = time.monotonic(), False

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self.emit(Advanced(description, total, done))

        self.emit(StageStarted(description, total, done))
        try:
            yield advance
            completed = True
        finally:
            self.emit(StageEnded(description, total, done, time.monotonic() - began, completed))

    def say(self, text: str) -> None:
        """Emit a message for the user."""
        self.emit(Logged(text))

    def warn(self, text: str) -> None:
        """Emit a warning for the user."""
        self.emit(Warned(text))


class Lines:
    """Write plain lines to stderr, for logs: at the start and end of a stage, and every 30 s in between."""

    def __init__(self) -> None:
        self._before, self._began, self._last = 0, 0.0, 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case StageStarted(stage, total, done):
                self._before, self._began = done, time.monotonic()
                self._last = self._began
                _write(f"{stage}: {total - done:,} to do")
            case Advanced(stage, total, done):
                now = time.monotonic()
                if now - self._last >= PLAIN_EVERY_S:
                    self._last = now
                    rate = (done - self._before) / (now - self._began)
                    left = (total - done) / rate if rate else 0.0
                    _write(f"{stage}: {done:,} of {total:,}, {rate:.0f}/s, {left:.0f} s left")
            case StageEnded(stage, done=done, seconds=seconds, completed=completed):
                if completed:
                    _write(f"{stage}: {done - self._before:,} in {seconds:.1f} s")
            case EpochEnded() | Logged() | Warned():
                _write(str(event))


class Bars:
    """Draw live progress bars with count, rate and time left on a terminal; messages appear above them."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)  # messages must use the bar's console, or they overwrite the bar
        self._bar: Bar | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case StageStarted():
                self._start(event)
            case Advanced(done=done):
                assert self._bar
                task = self._bar.tasks[0]
                speed = task.finished_speed or task.speed
                self._bar.update(task.id, completed=done, rate=f"{speed:,.0f}/s" if speed else "")
            case StageEnded():
                assert self._bar
                self._bar.stop()
            case EpochEnded() | Logged() | Warned():
                self._console.print(str(event), markup=False, highlight=False)

    def _start(self, event: StageStarted) -> None:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
        )
        self._bar = progress.Progress(*columns, console=self._console)
        self._bar.start()
        self._bar.add_task(event.stage, total=event.total, completed=event.done, rate="")


def json_lines(event: Event) -> None:
    """Write an event to stderr as a line of ASCII JSON."""
    _write(json.dumps(event.to_json()))


def for_stderr(way: str = "auto") -> Progress:
    """Return a `Progress` with the `stderr_listeners` of `way`."""
    return Progress(*stderr_listeners(way))


def stderr_listeners(way: str = "auto") -> tuple[Listener, ...]:
    """Return the listeners that show events on stderr.

    Args:
        way: `plain` lines, `json` lines, `none`, or `auto`: bars if stderr is a terminal, else plain lines.

    Raises:
        UnknownNameError: `way` is unknown.
    """
    choose(way, WAYS, "progress format")
    if way == "none":
        return ()
    if way == "json":
        return (json_lines,)
    return (Bars() if way == "auto" and sys.stderr.isatty() else Lines(),)


def _write(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
