"""Work ahead on threads: decode the next photos while this batch is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], threads: int, ahead: int) -> Iterator[R]:
    """`map` on threads, in order, never more than `ahead` results before the one in use.

    Memory is bounded by `ahead`, however many items there are. Pillow and file reads release Python's lock.

    Args:
        function: called on `threads` threads at once.
        items: may be endless; read as results are taken.
        threads: at least 1.
        ahead: items begun before their result is asked for, at least 1.
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
        pool.shutdown(cancel_futures=True)
