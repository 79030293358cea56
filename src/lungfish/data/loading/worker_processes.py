"""Run functions in worker processes that end with this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

from lungfish.core.cache import cache_limit_gb, limit_cache
from lungfish.core.errors import WorkerError

T = TypeVar("T")
R = TypeVar("R")


class WorkerProcesses:
    """A pool of processes, started at once. Functions, arguments and results are pickled; tensors use shared memory.

    Each process takes about 400 MB of memory, for torch and torchvision, and computes with one thread.

    Args:
        count: Number of processes, at least 1.
        prepare: Function that each process calls first, with `argument`.
        argument: Argument of `prepare`.
    """

    def __init__(self, count: int, prepare: Callable[[T], None], argument: T) -> None:
        import torch.multiprocessing  # makes pickle share tensors

        arguments = (prepare, argument, cache_limit_gb())
        self._pool = ProcessPoolExecutor(count, torch.multiprocessing.get_context("spawn"), _start, arguments)
        with _main_left_alone(), _interrupts_held():
            for _ in range(count):
                self._pool.submit(_nothing)  # starts a process
        self.count = count

    def submit(self, function: Callable[[T], R], argument: T) -> Future[R]:
        """Start work in the next free process. Raises `WorkerError`."""
        with _deaths_named():
            return self._pool.submit(function, argument)

    def result(self, future: Future[R]) -> R:
        """Wait for a result, or raise the error of the function. Raises `WorkerError` if a process died."""
        with _deaths_named():
            return future.result()

    def close(self) -> None:
        """Let the processes finish their current work, and end them."""
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def _deaths_named() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise WorkerError(
            "a process that loads photos died: it was killed, or memory ran out (in a container, perhaps /dev/shm)",
            "Run it again to resume, with fewer workers in the recipe, or 0 for none.",
        ) from None


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep new processes from running the caller's script, which they do not need.

    Otherwise a script that trains without checking `__name__ == "__main__"` would train in each of them.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Make processes started in the block ignore Ctrl-C, even while they start; this process handles it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(prepare: Callable[[T], None], argument: T, cache_gb: float | None) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    limit_cache(cache_gb)
    prepare(argument)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _nothing() -> None:
    pass
