"""Memory that stays with the process between training steps."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# glibc's names and numbers for what `mallopt` sets
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
MIB = 2**20


@contextmanager
def kept_memory(device: str) -> Iterator[None]:
    """While it lasts, what is freed stays with the process; then it goes back to the system.

    By default glibc maps each block above 32 MiB anew. A step on the CPU frees dozens of them and asks for them again,
    and the system fills every page with zeros: up to half of the step's time. Results are the same to the bit. Other C
    libraries, and accelerators, which torch keeps the memory of, go on as they are; so do blocks of 64 MiB and more in
    threads beside the main one.

    Args:
        device: on which steps are computed.
    """
    glibc = _glibc() if device == "cpu" else None
    if glibc is None:
        yield
        return
    glibc.mallopt(MMAP_MAX, 0)
    glibc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # what glibc itself comes to once it has seen a large block freed
        glibc.mallopt(MMAP_THRESHOLD, 32 * MIB)
        glibc.mallopt(TRIM_THRESHOLD, 64 * MIB)
        glibc.mallopt(MMAP_MAX, 65_536)
        glibc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "gnu_get_libc_version") else None
