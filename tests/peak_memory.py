"""Report the peak memory of a test run, summed over this process and its descendants.

Where the kernel offers it (Linux) this is proportional set size, in which a page that several processes share counts
once. Elsewhere it is resident set size, in which it counts once for each process.
"""

from __future__ import annotations

import threading
from typing import Any

import psutil

EVERY_S = 0.5
SHOWN = 6


class PeakMemory:
    """A plugin of pytest that looks at the process tree from time to time."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self.largest: list[str] = []  # the largest processes at that moment
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._ended.wait(EVERY_S):
            sizes = {process: memory_bytes(process) for process in [this, *this.children(recursive=True)]}
            if sum(sizes.values()) > self.peak_bytes:
                self.peak_bytes = sum(sizes.values())
                order = sorted(sizes, key=sizes.__getitem__, reverse=True)[:SHOWN]
                self.largest = [f"{sizes[process] / 2**20:5.0f} MiB  {command_of(process)}" for process in order]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        self._ended.set()
        self._thread.join()
        terminalreporter.write_line(f"peak memory of all processes together: {self.peak_bytes / 2**30:.2f} GiB")
        for line in self.largest:
            terminalreporter.write_line(line)


def memory_bytes(process: psutil.Process) -> int:
    """Return what a process holds; 0 if it has ended."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.rss))


def command_of(process: psutil.Process) -> str:
    """Return the beginning of a process's command line."""
    try:
        return " ".join(process.cmdline())[:100]
    except psutil.Error:
        return "(ended)"
