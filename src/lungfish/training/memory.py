"""Keep freed memory in the process between training steps."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# parameters of glibc's `mallopt`
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
MIB = 2**20


@contextmanager
def kept_memory(device: str) -> Iterator[None]:
    """Keep freed memory in the process during the block, then return it to the system.

    By default glibc maps each block above 32 MiB separately. A step on the CPU frees and requests dozens of them, and
    the system fills every page with zeros: up to half of the step's time. Results are bit-identical. Nothing
    changes for other C libraries, for accelerators (torch keeps their memory itself), and for blocks of 64 MiB and more
    in threads other than the main one.

    Args:
        device: Device that computes the steps.
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
        # the values that glibc adapts to after freeing a large block
        glibc.mallopt(MMAP_THRESHOLD, 32 * MIB)
        glibc.mallopt(TRIM_THRESHOLD, 64 * MIB)
        glibc.mallopt(MMAP_MAX, 65_536)
        glibc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "gnu_get_libc_version") else None
