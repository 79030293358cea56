"""End a command within seconds of Ctrl-C or SIGTERM, whatever it is computing.

Python's signal handlers run only between two instructions of its main thread, so a kernel that does not return, or a
thread pool that waits for one, blocks them. The interpreter's C code, however, also writes the signal's number to a
socket immediately. A thread that reads it gives the command some time to end by itself, and then ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

GRACE_SECONDS = 4.0  # a signal then ends the process within 5 s


def end_soon_after_signals(exit_codes: Mapping[int, int]) -> None:
    """End this process `GRACE_SECONDS` after a signal if it is still running. Must be called in the main thread.

    Files being written are left as after a power cut: use it only for commands that write files atomically and have
    nothing to save.

    Args:
        exit_codes: Exit code by signal number; ignored signals stay ignored.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, writing, exit_codes), name="signals", daemon=True).start()


def _watch(reading: socket.socket, _writing: socket.socket, exit_codes: Mapping[int, int]) -> None:
    """Wait for a signal. Both ends of the socket stay open as long as this thread runs."""
    code = None
    while code is None:
        code = next((exit_codes[number] for number in reading.recv(64) if number in exit_codes), None)
    time.sleep(GRACE_SECONDS)
    with suppress(OSError):  # not through sys.stderr, whose lock the main thread may hold
        os.write(2, f"stopped: still running {GRACE_SECONDS:g} s after the signal\n".encode())
    os._exit(code)
