"""Which steps count; the steps themselves are tested by `tests/e2e`."""

import numpy as np
import pytest

from lungfish.training.loop import Fitted
from lungfish.training.state import Score
from lungfish.workflows import climb as module

BETTER = Fitted({}, Score(0.1, 0.9), 1, ({}, {}, {}), "epochs")
NO_BETTER = Fitted({}, Score(0.1, 0.9), None, ({}, {}, {}), "patience")


def verdict(right: int, photos: int, *, few: bool = True, fitted: Fitted = BETTER) -> tuple[bool, str]:
    """Of a step from a network that knows nothing to one that answers with the same certainty, `right` times well.

    The best temperature makes that certainty p, the share of right answers but for a doubt of 1 / (n + 2): each right
    answer gains log(2 p), each wrong one log(2 (1 - p)).
    """
    before, after = np.zeros((photos, 2), np.float32), np.tile(np.float32([1, -1]), (photos, 1))
    return module._verdict(fitted, before, after, (np.arange(photos) >= right).astype(np.int64), few=few)


@pytest.mark.parametrize(("right", "photos"), [(17, 20), (140, 200)])
def test_a_clear_gain_on_few_photos_counts(right: int, photos: int) -> None:
    """2.2 and 3.0 standard errors."""
    assert verdict(right, photos) == (True, "epoch 2 of 3 is the best; all epochs done")


@pytest.mark.parametrize(("right", "photos", "gain", "error"), [(16, 20, "0.191", "0.112"), (14, 20, "0.082", "0.080")])
def test_a_gain_on_few_photos_may_be_chance(right: int, photos: int, gain: str, error: str) -> None:
    """1.7 and 1.0 standard errors. With more photos it would count."""
    words = f"a gain of {gain} in loss on {photos} validation photos may be chance: its standard error is {error}"
    assert verdict(right, photos) == (False, words)
    assert verdict(right, photos, few=False)[0]


def test_one_photo_shows_nothing() -> None:
    kept, why = verdict(1, 1)
    assert not kept
    assert "on 1 validation photo may be chance: its standard error is inf" in why


def test_two_photos_that_gain_alike_show_something() -> None:
    """Two gains have a standard error, here of 0."""
    assert verdict(2, 2)[0]


def test_without_a_better_epoch_nothing_counts() -> None:
    words = "no epoch was better on validation than the start; no better epoch for a while"
    for few in (True, False):
        assert verdict(20, 20, few=few, fitted=NO_BETTER) == (False, words)


def test_where_there_is_nothing_to_fall_back_on_every_step_counts() -> None:
    after, truth = np.array([[1, -1]], np.float32), np.array([1])
    for fitted in (BETTER, NO_BETTER):
        assert module._verdict(fitted, None, after, truth, few=True)[0]
