"""Progress on stderr: bars on a terminal, one plain line every 30 seconds elsewhere, nothing when asked for quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]
PLAIN_EVERY_S = 30.0


class Progress(Protocol):
    """What a workflow tells of its steps."""

    def task(self, description: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Begin a step of `total` units; call what it yields with the number of units done since the last call.

        Args:
            description: of the step.
            total: units.
            done: of these, by an earlier process.
        """
        ...

    def say(self, text: str) -> None:
        """One line of news between steps."""
        ...


class Silent:
    """No output: the Python API's default."""

    @contextmanager
    def task(self, description: str, total: int, done: int = 0) -> Iterator[Advance]:  # noqa: ARG002  the protocol's names
        yield lambda _count: None

    def say(self, text: str) -> None:
        pass


class Lines:
    """Plain lines for logs: the start of a step, one line every 30 s, its end."""

    @contextmanager
    def task(self, description: str, total: int, done: int = 0) -> Iterator[Advance]:
        began = last = time.monotonic()
        before = done
        self.say(f"{description}: {total - done:,} to do")

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= PLAIN_EVERY_S:
                last = now
                rate = (done - before) / (now - began)
                left = (total - done) / rate if rate else 0.0
                self.say(f"{description}: {done:,} of {total:,}, {rate:.0f}/s, {left:.0f} s left")

        yield advance
        self.say(f"{description}: {done - before:,} in {time.monotonic() - began:.1f} s")

    def say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class Bars:
    """Live bars with count, rate and time left, for a terminal; news appears above them."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)  # only the console of a bar knows to move it out of the way

    @contextmanager
    def task(self, description: str, total: int, done: int = 0) -> Iterator[Advance]:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=self._console) as bar:
            task = bar.add_task(description, total=total, completed=done, rate="")

            def advance(count: int) -> None:
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                bar.update(task, advance=count, rate=f"{speed:,.0f}/s" if speed else "")

            yield advance

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


def for_stderr() -> Progress:
    """Bars if stderr is a terminal, else plain lines."""
    return Bars() if sys.stderr.isatty() else Lines()
