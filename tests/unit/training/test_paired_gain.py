import json

import numpy as np
import pytest
from scipy import stats

from lungfish.evaluation.stage_result import Gain
from lungfish.training.paired_gain import gain, losses

RNG = np.random.default_rng(0)


def test_without_scenes_it_is_the_standard_error_of_a_mean() -> None:
    before, after = RNG.normal(1, 0.3, (2, 50))
    found = gain(before, after, np.arange(50))
    assert found.mean == pytest.approx((before - after).mean())
    assert found.error == pytest.approx(stats.sem(before - after))
    assert found.photos == 50


def test_copies_of_photos_add_nothing() -> None:
    """Ten photos, three times each, show as much as the ten; counted one by one they would seem to show more."""
    before, after = RNG.normal(1, 0.3, (2, 10))
    once = gain(before, after, np.arange(10))
    thrice = gain(before.repeat(3), after.repeat(3), np.arange(10).repeat(3))
    assert (thrice.mean, thrice.error) == (pytest.approx(once.mean), pytest.approx(once.error))
    apart = gain(before.repeat(3), after.repeat(3), np.arange(30))
    assert apart.error < 0.6 * once.error


def test_one_scene_shows_nothing() -> None:
    found = gain(np.full(9, 2.0), np.full(9, 1.0), np.zeros(9, np.int64))
    assert (found.mean, found.error) == (1.0, np.inf)
    assert not found.is_clear(0.1)
    assert json.loads(json.dumps(found.to_json())) == {"mean": 1.0, "error": None, "photos": 9}


@pytest.mark.parametrize(("mean", "clear"), [(0.2, True), (0.199, False), (0.0, False), (-1.0, False)])
def test_clear_is_above_nothing_by_so_many_errors(mean: float, clear: bool) -> None:
    assert Gain(mean, 0.1, 10).is_clear(2.0) is clear


def test_nothing_is_not_a_clear_gain() -> None:
    assert not Gain(0.0, 0.0, 10).is_clear(2.0)


def test_losses_at_a_temperature() -> None:
    logits, labels = np.float32([[2, 0], [0, 4]]), np.array([0, 1])
    expected = -np.log(1 / (1 + np.exp([-1.0, -2.0])))
    assert losses(logits, labels, 2.0) == pytest.approx(expected)


def test_the_best_temperature_is_found() -> None:
    """Certain answers, one in four of them wrong: at a temperature of 1 they cost more."""
    logits, labels = np.float32([[4, 0]] * 40), np.repeat([0, 0, 0, 1], 10)
    assert losses(logits, labels).mean() == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=0.01)
    assert losses(logits, labels, 1.0).mean() > 0.9
