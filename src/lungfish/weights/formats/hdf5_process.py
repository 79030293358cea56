"""HDF5 files, read in a process of its own: what crashes, hangs or fills the memory there is an error here."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Event, Lock, Thread
from typing import IO, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from lungfish.core.errors import WeightsError, WorkerError
from lungfish.core.names import printable
from lungfish.weights.formats.hdf5_child import LENGTH_BYTES
from lungfish.weights.formats.limits import check_size, unreadable

CHILD = (sys.executable, "-P", "-m", "lungfish.weights.formats.hdf5_child")
ENVIRONMENT = {  # one thread, and no filters from folders of this machine
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",
}
START_S = 120.0  # by the clock, until the process can read: a Raspberry Pi takes 5 from a cold disk
CPU_S = 1.5  # of computing for a small file; MobileNet's smallest takes 0.06 on a server
CPU_S_PER_BYTE = 1e-7  # and 10 MB/s: EfficientNet-B0 takes 0.2 of 3.7 s, on a Raspberry Pi perhaps ten times that
WAIT_FACTOR = 30  # by the clock it may take this many times longer: the disk may be slow, other work in the way
SPARE_BYTES = 256 << 20  # of memory beside twice the file: its arrays, and those of an archive's member
EVERY_S = 0.02
MAX_HEADER_BYTES = 16 << 20
_NUMBERS = re.compile(r"[<>|][fiu][1248]")


@dataclass(frozen=True)
class Hdf5Content:
    """What a file of Keras holds.

    Args:
        kind: `published`: by layer and variable; `numbered`: by class of layer and number, as Keras 3 writes.
        layers: names that the file gives numbered layers.
        arrays: by path.
    """

    kind: str
    layers: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]


@dataclass
class _Bounds:
    """What a process may take from now on, and which bound it went past."""

    cpu_s: float
    clock_s: float
    memory_bytes: int
    passed: str = ""


class Hdf5Process:
    """Starts its process for the first file, keeps it for the next ones, and starts another after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def read(self, path: Path, max_tensors: int) -> Hdf5Content:
        """Read a file, or the one in an archive of Keras.

        Raises:
            WeightsError: it is damaged, too large, no such file, or the library crashed on it.
            WorkerError: the process cannot be started.
        """
        size = check_size(path)
        with self._lock:
            process = self._running()
            bounds = _Bounds(CPU_S + size * CPU_S_PER_BYTE, 0, SPARE_BYTES + 2 * size)
            bounds.clock_s = WAIT_FACTOR * bounds.cpu_s
            try:
                with _watched(process, bounds):
                    request = {"path": str(path.absolute()), "max_tensors": max_tensors}
                    process.stdin.write(json.dumps(request).encode() + b"\n")  # type: ignore[union-attr]
                    process.stdin.flush()  # type: ignore[union-attr]
                    content = _content(path, process.stdout)  # type: ignore[arg-type]
            except (OSError, EOFError, ValueError, TypeError, KeyError):
                code = self._end()
                reason = bounds.passed or f"the library crashed on it, {_how(code)}"
                raise unreadable(path, RuntimeError(reason)) from None
            except BaseException:  # too large, or Ctrl-C: what is still on its way is of no use
                self._end()
                raise
        if isinstance(content, WeightsError):
            raise content
        return content

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, or a new one if it is none or has ended since."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        process = self._process = subprocess.Popen(  # noqa: S603  no part of it is a stranger's
            CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what a crash says, a line of glibc
            env=os.environ | ENVIRONMENT,
        )
        atexit.register(self._end)
        bounds = _Bounds(START_S, START_S, 1 << 30)
        try:
            with _watched(process, bounds):
                _header(process.stdout)  # type: ignore[arg-type]
        except (EOFError, ValueError):
            code = self._end()
            raise WorkerError(
                f"the process that reads HDF5 files did not start: {bounds.passed or _how(code)}",
                f"Try it: {' '.join(CHILD[1:])}",
            ) from None
        return process

    def _end(self) -> int:
        """End the process. Returns its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        atexit.unregister(self._end)
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what is still unsent
                stream.close()  # type: ignore[union-attr]
        return process.wait()


@contextmanager
def _watched(process: subprocess.Popen[bytes], bounds: _Bounds) -> Iterator[None]:
    """Kill the process as soon as it goes past a bound."""
    done = Event()
    watcher = Thread(target=_watch, args=(process, bounds, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(process: subprocess.Popen[bytes], bounds: _Bounds, done: Event) -> None:
    with contextlib.suppress(psutil.Error):  # it has ended
        child, start = psutil.Process(process.pid), time.monotonic()
        cpu_s, memory_bytes = _cpu_s(child), child.memory_info().rss
        while not done.wait(EVERY_S):
            if _cpu_s(child) - cpu_s > bounds.cpu_s:
                bounds.passed = f"the library computed for more than {bounds.cpu_s:.1f} s"
            elif time.monotonic() - start > bounds.clock_s:
                bounds.passed = f"the library took more than {bounds.clock_s:.1f} s"
            elif child.memory_info().rss - memory_bytes > bounds.memory_bytes:
                bounds.passed = f"the library took more than {bounds.memory_bytes:,} bytes of memory"
            if bounds.passed:
                process.kill()
                return


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _content(path: Path, answers: IO[bytes]) -> Hdf5Content | WeightsError:
    """The answer to a request: what the file holds, or what is wrong with it.

    Raises:
        WeightsError: its arrays are too large; they are still on their way.
        Exception: the process is out of order.
    """
    header = _header(answers)
    if "error" in header:
        return WeightsError(printable(header["error"]["message"]), printable(header["error"]["hint"]))
    rows = [(str(key), _dtype(dtype), _shape(shape)) for key, dtype, shape in header["arrays"]]
    check_size(path, sum(prod(shape) * dtype.itemsize for _, dtype, shape in rows))
    arrays = {}
    for key, dtype, shape in rows:
        flat = np.empty(prod(shape), dtype)
        if answers.readinto(flat.view(np.uint8)) != flat.nbytes:  # type: ignore[attr-defined]
            raise EOFError
        arrays[key] = flat.reshape(shape)
    layers = {str(layer): str(name) for layer, name in header["layers"].items()}
    return Hdf5Content(str(header["kind"]), layers, arrays)


def _header(answers: IO[bytes]) -> dict[str, Any]:
    length = int.from_bytes(answers.read(LENGTH_BYTES), "little")
    if not 0 < length <= MAX_HEADER_BYTES:
        raise EOFError
    header: dict[str, Any] = json.loads(answers.read(length))
    return header


def _dtype(text: str) -> np.dtype[Any]:
    if not _NUMBERS.fullmatch(text):
        raise ValueError(text)
    return np.dtype(text)


def _shape(sizes: list[int]) -> tuple[int, ...]:
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError(sizes)
    return tuple(sizes)


def _how(code: int) -> str:
    """What an exit code says: the signal, where it is one."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
