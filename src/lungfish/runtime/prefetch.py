"""Compute results ahead of time in threads, for example to decode the next photos while a batch is computed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(
    function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int, stop: threading.Event | None = None
) -> Generator[R, None, None]:
    """Apply a function to items in threads, and yield the results in order.

    At most `ahead` results are computed in advance, which bounds the memory. Threads suffice, since Pillow and file
    reads release the GIL.

    Args:
        function: Function to apply, called in `threads` threads at once.
        items: Items, possibly endless; they are read as results are consumed.
        threads: Number of threads, at least 1.
        ahead: Number of items submitted before their result is needed, at least 1.
        stop: Set when no more results are needed, so that a long call can end early.
    """
    rest = iter(items)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lungfish")
    try:
        begun: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(rest, ahead))
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(function, item) for item in islice(rest, 1))
            yield result
    finally:
        if stop is not None:
            stop.set()
        pool.shutdown(cancel_futures=True)
