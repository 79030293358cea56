import time

import pytest

from lungfish.job.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose hand the test moves."""
    hand = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: hand[0])
    return hand


def test_steps_of_one_name_add_up_and_the_total_counts_all(clock: list[float]) -> None:
    watch = Stopwatch()
    for name, seconds in (("head", 1.5), ("export", 2.0), ("head", 0.25)):
        with watch.phase(name):
            clock[0] += seconds
        clock[0] += 1
    assert watch.seconds() == {"head": 1.75, "export": 2.0, "total": 6.75}
    assert list(watch.seconds())[-1] == "total"


def test_a_step_that_fails_is_counted_and_fails(clock: list[float]) -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.phase("head"):  # noqa: PT012
        clock[0] += 3
        raise ZeroDivisionError
    assert watch.seconds() == {"head": 3.0, "total": 3.0}
