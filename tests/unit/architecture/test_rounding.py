import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungfish.architecture.rounding import down, nearest_8, round_depth, round_resolution


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(1, 8), (8, 8), (11.2, 16), (12, 16), (17.6, 16), (19.9, 24), (24 * 0.35, 8), (24 * 1.4, 32), (44, 48), (88, 88)],
)
def test_nearest_8(channels: float, rounded: int) -> None:
    assert nearest_8(channels) == rounded


@given(st.floats(1, 1e4))
def test_nearest_8_is_near_and_never_a_tenth_below(channels: float) -> None:
    rounded = nearest_8(channels)
    assert rounded % 8 == 0
    assert rounded >= max(8, 0.9 * channels - 1e-6)
    assert rounded <= max(16, channels + 8)


@given(st.floats(1, 1e4), st.floats(0, 100))
def test_more_never_rounds_to_less(channels: float, more: float) -> None:
    assert nearest_8(channels) <= nearest_8(channels + more)
    assert down(channels) <= down(channels + more)


def test_down() -> None:
    assert [down(w) for w in (1, 8.9, 32 * 0.35, 1024 * 0.35)] == [8, 8, 11, 358]


def test_the_last_digits_of_a_float_decide_nothing() -> None:
    below, above = 40 * 1.0999999999999999, 40 * 1.1000000000000003
    assert nearest_8(below) == nearest_8(above) == 48
    assert round_depth(2 * 1.5000000000000002) == round_depth(3.0000000000000004) == 3
    assert down(15.999999999999998) == 16


def test_round_depth_is_up() -> None:
    assert [round_depth(d) for d in (0.1, 1, 1.1, 2.2, 12.4)] == [1, 1, 2, 3, 13]


def test_round_resolution() -> None:
    assert [round_resolution(p) for p in (257.6, 260, 296.24, 195.9, 100)] == [256, 264, 296, 192, 104]
