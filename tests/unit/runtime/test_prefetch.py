import threading
import time

import pytest

from lungfish.runtime.prefetch import prefetch


def test_order_is_kept() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 5 == 0 else 0)
        return number * number

    assert list(prefetch(slow_first, range(40), threads=4, ahead=10)) == [n * n for n in range(40)]


def test_never_more_than_ahead() -> None:
    taken: list[int] = []
    results = prefetch(lambda number: number, (taken.append(n) or n for n in range(100)), threads=2, ahead=7)
    for number in range(20):
        assert next(results) == number
        assert len(taken) <= number + 1 + 7


def test_errors_come_where_the_item_is() -> None:
    results = prefetch(lambda number: 1 // (number - 3), range(10), threads=2, ahead=4)
    assert [next(results) for _ in range(3)] == [-1, -1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_threads_end_when_nobody_listens() -> None:
    before = threading.active_count()
    results = prefetch(lambda number: number, range(10**9), threads=3, ahead=5)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_long_calls_are_told_to_stop() -> None:
    stop = threading.Event()
    results = prefetch(lambda number: number and stop.wait(60), range(9), threads=2, ahead=2, stop=stop)
    assert next(results) == 0
    began = time.monotonic()
    results.close()
    assert stop.is_set()
    assert time.monotonic() - began < 10
