"""Which steps count; the steps themselves are tested by `tests/e2e`."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from torch import nn

from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages import judge as module
from lungfish.job.stages.judge import Judge, Verdict

ON_VIEWS = "on cropped, rotated, darker, warmer and blurred views of them"


def verdict(
    right: int, photos: int, *, few: bool = False, trial: Gain | None = None, changed: float = 0.0, scenes: int = 0
) -> Verdict:
    """Of a step from a network that knows nothing to one that answers with the same certainty, `right` times well.

    The best temperature makes that certainty p, the share of right answers but for a doubt of 1 / (n + 2): each right
    answer gains log(2 p), each wrong one log(2 (1 - p)). On changed views it gains `changed`.
    """
    before, after = np.zeros((photos, 2), np.float32), np.tile(np.float32([1, -1]), (photos, 1))
    truth = (np.arange(photos) >= right).astype(np.int64)
    units = np.arange(photos) * scenes // photos if scenes else np.arange(photos)
    dataset = SimpleNamespace(indices=lambda _: np.arange(photos), truth=truth, assignment=SimpleNamespace(units=units))
    network: Any = nn.Linear(1, 1)
    start = {name: tensor * 0 for name, tensor in network.state_dict().items()}
    judge = Judge(SimpleNamespace(dataset=dataset), few=few)  # type: ignore[arg-type]
    judge._changed = SimpleNamespace(  # type: ignore[assignment]
        losses=lambda network: np.full(
            photos, 1.0 if not any(each.any() for each in network.parameters()) else 1 - changed
        ),
        gain=lambda before, after: Gain(float((before - after).mean()), 0.01, photos),
    )
    kept = module.copied(network)
    found = judge(network, start, (before, after), trial, "the head")
    assert all((tensor == kept[name]).all() for name, tensor in network.state_dict().items())
    return found


@pytest.mark.parametrize(("right", "photos"), [(17, 20), (140, 200)])
def test_a_clear_gain_on_few_photos_counts(right: int, photos: int) -> None:
    """2.2 and 3.0 standard errors."""
    assert verdict(right, photos, few=True).kept


@pytest.mark.parametrize(("right", "photos", "gain", "error"), [(16, 20, "0.191", "0.112"), (14, 20, "0.082", "0.080")])
def test_a_gain_on_few_photos_may_be_chance(right: int, photos: int, gain: str, error: str) -> None:
    """1.7 and 1.0 standard errors. With more photos it would count."""
    found = verdict(right, photos, few=True)
    luck = f"its improvement is too small to tell from luck on {photos} validation photos"
    assert (found.kept, found.why) == (False, luck)
    assert found.gain
    assert (f"{found.gain.mean:.3f}", f"{found.gain.error:.3f}", found.gain.photos) == (gain, error, photos)
    found = verdict(right, photos)
    lower = f"about as many of {photos} validation photos are right as with the head, and the loss is lower"
    assert (found.kept, found.why) == (True, lower)
    assert found.gain
    assert (f"{found.gain.mean:.3f}", f"{found.gain.error:.3f}", found.gain.photos) == (gain, error, photos)


def test_photos_of_one_scene_show_less() -> None:
    """150 of 200 is clear, unless the fifty that are wrong, and the others, are pictures of four things."""
    assert verdict(150, 200, few=True).kept
    assert not verdict(150, 200, few=True, scenes=4).kept


def test_one_photo_shows_nothing() -> None:
    found = verdict(1, 1, few=True)
    assert not found.kept
    assert found.why == "its improvement is too small to tell from luck on 1 validation photo"
    assert found.gain
    assert np.isinf(found.gain.error)


def test_two_photos_that_gain_alike_show_something() -> None:
    """Two gains have a standard error, here of 0."""
    assert verdict(2, 2, few=True).kept


@pytest.mark.parametrize(("changed", "kept", "words"), [(0.3, True, "better"), (-0.2, False, "not better")])
def test_changed_views_decide_within_one_standard_error(changed: float, kept: bool, words: str) -> None:
    found = verdict(11, 20, changed=changed)
    assert found.kept is kept
    assert found.why == f"as good as the head on 20 validation photos, {words} {ON_VIEWS}"
    assert found.gain
    assert found.gain.mean == pytest.approx(changed)


@pytest.mark.parametrize(("right", "kept"), [(140, True), (20, False)])
def test_changed_views_do_not_overrule(right: int, kept: bool) -> None:
    found = verdict(right, 200, changed=-1.0 if kept else 1.0)
    assert found.kept is kept
    assert ON_VIEWS not in found.why


@pytest.mark.parametrize(
    ("more", "words"), [(9, "9 more of 100 validation photos are right"), (-9, "none beat the head: 9 fewer of 100")]
)
def test_right_answers_come_before_losses(more: int, words: str) -> None:
    """Nine answers turn for the better, or for the worse, while certainty makes the loss go the other way."""
    truth, certain, doubtful = np.zeros(100, np.int64), np.float32([3, 0]), np.float32([0.2, 0])
    better = np.stack([certain] * 89 + [certain[::-1]] * 11) * 3
    worse = np.stack([doubtful] * 80 + [doubtful[::-1]] * 20)
    worse[:80] = certain
    before, after = (worse, better) if more > 0 else (better, worse)
    dataset = SimpleNamespace(
        indices=lambda _: np.arange(100), truth=truth, assignment=SimpleNamespace(units=np.arange(100))
    )
    judge = Judge(SimpleNamespace(dataset=dataset), few=False)  # type: ignore[arg-type]
    network: Any = nn.Linear(1, 1)
    found = judge(network, module.copied(network), (before, after), None, "the head")
    assert found.kept is (more > 0)
    assert found.why.startswith(words)
    assert (found.gain.mean > 0) is not (more > 0)


def test_what_cross_validation_has_shown_stands_unless_validation_denies_it() -> None:
    trial = Gain(0.3, 0.1, 400)
    found = verdict(11, 20, few=True, trial=trial)
    assert found.kept
    assert found.why == "it beat the head in cross-validation on 400 training photos"
    assert found.gain == trial
    assert not verdict(2, 20, few=True, trial=trial).kept
