"""Count the CPU cores available for computation."""

from __future__ import annotations

import os


def physical_cores() -> int:
    """Return the number of CPU cores that this process may use, without hyperthreads."""
    import psutil

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or 1, allowed))
