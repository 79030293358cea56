"""Work ahead on threads: decode the next photos while this batch is computed."""

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
    """`map` on threads, in order, never more than `ahead` results before the one in use.

    Memory is bounded by `ahead`, however many items there are. Pillow and file reads release Python's lock.

    Args:
        function: called on `threads` threads at once.
        items: may be endless; read as results are taken.
        threads: at least 1.
        ahead: items begun before their result is asked for, at least 1.
        stop: set when no more results are wanted, so that a long call may look at it and end early.
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
