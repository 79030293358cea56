"""Read HDF5 files in a separate process, where a crash, a hang or excessive memory becomes an ordinary error."""

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
ENVIRONMENT = {  # one thread, and none of this machine's filter plugins
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",
}
START_S = 120.0  # wall time until the process can read: a Raspberry Pi takes 5 s from a cold disk
CPU_S = 1.5  # CPU time for a small file; the smallest MobileNet takes 0.06 s on a server
# Additional CPU time, 1 s for 10 MB: EfficientNet-B0 is allowed 3.7 s in all. It takes 0.2 s on a server, perhaps
# ten times that on a Raspberry Pi.
CPU_S_PER_BYTE = 1e-7
WAIT_FACTOR = 30  # wall time over CPU time: the disk may be slow, or the machine busy
SPARE_BYTES = 256 << 20  # memory beyond twice the file's size: once for an archive member, once for its arrays
EVERY_S = 0.02
MAX_HEADER_BYTES = 16 << 20
_NUMBERS = re.compile(r"[<>|][fiu][1248]")


@dataclass(frozen=True)
class Hdf5Content:
    """The contents of a Keras file.

    Args:
        kind: `published`: by layer and variable; `numbered`: by layer class and number, as Keras 3 writes.
        layers: Names that the file gives its numbered layers.
        arrays: Arrays by path.
    """

    kind: str
    layers: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]


@dataclass
class _Bounds:
    """What the process may use from now on, and which bound it exceeded."""

    cpu_s: float
    clock_s: float
    memory_bytes: int
    exceeded: str = ""


class Hdf5Process:
    """A reader process, started for the first file, reused for later ones and replaced after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()

    def read(self, path: Path, max_tensors: int) -> Hdf5Content:
        """Read a file, or the one inside a Keras archive.

        Raises:
            WeightsError: It is damaged, too large, missing or not a Keras file, or crashed the library.
            WorkerError: The process cannot be started.
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
                reason = bounds.exceeded or f"the library crashed on it, {_describe_exit(code)}"
                raise unreadable(path, RuntimeError(reason)) from None
            except BaseException:  # too large, or Ctrl-C: the rest of the answer is useless
                self._end()
                raise
        if isinstance(content, WeightsError):
            raise content
        return content

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process, or a new one if it has not started or has ended."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        process = self._process = subprocess.Popen(  # noqa: S603  a fixed command
            CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # glibc may write a line here after a crash
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
                f"the process that reads HDF5 files did not start: {bounds.exceeded or _describe_exit(code)}",
                f"To see why, run: python {' '.join(CHILD[1:])}",
            ) from None
        return process

    def _end(self) -> int:
        """End the process and return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        atexit.unregister(self._end)
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # unsent data
                stream.close()  # type: ignore[union-attr]
        return process.wait()


@contextmanager
def _watched(process: subprocess.Popen[bytes], bounds: _Bounds) -> Iterator[None]:
    """Kill the process as soon as it exceeds a bound."""
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
                bounds.exceeded = f"the library computed for more than {bounds.cpu_s:.1f} s"
            elif time.monotonic() - start > bounds.clock_s:
                bounds.exceeded = f"the library took more than {bounds.clock_s:.1f} s"
            elif child.memory_info().rss - memory_bytes > bounds.memory_bytes:
                bounds.exceeded = f"the library took more than {bounds.memory_bytes:,} bytes of memory"
            if bounds.exceeded:
                process.kill()
                return


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _content(path: Path, answers: IO[bytes]) -> Hdf5Content | WeightsError:
    """Return the contents of the file, or the error that the process reports.

    Raises:
        WeightsError: The announced arrays are too large; they have not been read.
        Exception: The process does not follow the protocol.
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


def _describe_exit(code: int) -> str:
    """Describe an exit code: the signal, if it is one."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
