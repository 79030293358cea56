"""Ctrl-C and SIGTERM end a command within seconds, whatever it is computing.

Python's handlers run between two steps of the main thread. A kernel that does not come back, or a thread pool that
waits for one, keeps that step from ending. The number of a signal is also written to a socket at once, by C; a thread
that reads it gives the command some time to end by itself, and then ends the process.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

GRACE_SECONDS = 4.0  # with it, a signal ends the process within 5 s


def end_soon_after_signals(exit_codes: Mapping[int, int]) -> None:
    """End this process `GRACE_SECONDS` after a signal, unless it has ended by then; call it in the main thread.

    Files that are being written stay behind as after a power cut: only for commands that write theirs whole or not at
    all, and have nothing to save.

    Args:
        exit_codes: by the number of the signal; one that is ignored stays ignored.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, writing, exit_codes), name="signals", daemon=True).start()


def _watch(reading: socket.socket, _writing: socket.socket, exit_codes: Mapping[int, int]) -> None:
    """Wait for a signal; both ends of the socket stay open with this thread."""
    code = None
    while code is None:
        code = next((exit_codes[number] for number in reading.recv(64) if number in exit_codes), None)
    time.sleep(GRACE_SECONDS)
    with suppress(OSError):  # not through sys.stderr, whose lock the main thread may hold
        os.write(2, f"stopped: it did not end by itself in {GRACE_SECONDS:g} s\n".encode())
    os._exit(code)
