"""Measure latency and memory, and describe the machine."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lungfish.runtime.artifact import Latency
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.engines.engine import Engine

WARM_UP_RUNS = 5
MOST_RUNS = 500
LEAST_RUNS = 20


def latency(session: Engine, seconds: float = 1.0) -> Latency:
    """Measure the latency of an artifact at batch size 1, from pixels to probabilities.

    Args:
        session: The open artifact, measured with the threads it was opened with.
        seconds: Approximate duration; a slow network takes longer, since at least `LEAST_RUNS` are measured.
    """
    return latencies([session], seconds, rounds=1)[0]


def latencies(sessions: Sequence[Engine], seconds: float = 1.5, rounds: int = 5) -> list[Latency]:
    """Measure several artifacts as `latency` does, in turn, so that other load on the machine affects all alike."""
    for session in sessions:
        _run_times_ms(session, 0.0, WARM_UP_RUNS)
    times_ms: list[list[float]] = [[] for _ in sessions]
    for _ in range(rounds):
        for session, times in zip(sessions, times_ms, strict=True):
            times.extend(_run_times_ms(session, seconds / rounds, -(-LEAST_RUNS // rounds)))
    return [_summary(session, times) for session, times in zip(sessions, times_ms, strict=True)]


def _run_times_ms(session: Engine, seconds: float, least: int) -> list[float]:
    shape = (1, session.resolution_px, session.resolution_px, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    times_ms: list[float] = []
    end = time.perf_counter() + seconds
    while len(times_ms) < least or (time.perf_counter() < end and len(times_ms) < MOST_RUNS):
        began = time.perf_counter()
        session.run(pixels)
        times_ms.append((time.perf_counter() - began) * 1e3)
    return times_ms


def _summary(session: Engine, times_ms: list[float]) -> Latency:
    p50, p95 = np.percentile(times_ms, (50, 95)).tolist()
    return Latency(round(p50, 3), round(p95, 3), session.threads, session.runtime)


def peak_rss_bytes() -> int:
    """Return the peak resident memory of this process, in bytes."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.is_file():  # Linux, where getrusage also counts the parent's memory at the time of the fork
        for line in status.read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes except on macOS


def machine() -> dict[str, Any]:
    """Describe this machine without host and user names: `{cpu, cores, threads, memory_bytes, os, python}`."""
    import psutil

    return {
        "cpu": _cpu_model(),
        "cores": physical_cores(),
        "threads": os.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those `packages` that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return _macos_cpu_model()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(named, platform.machine())


def _macos_cpu_model() -> str:
    import subprocess

    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return platform.machine()
