import numpy as np
import pytest

from lungfish.training.crossvalidation import cross_validate, each_fold
from lungfish.training.probe import Head, LabelledFeatures


def head(penalty: float = 0.01) -> Head:
    empty = np.empty((0, 0), np.float32)
    return Head(empty, empty, penalty, balanced=False, temperature=1.0, tried={})


def copies_of_noise(groups: int, copies: int) -> tuple[LabelledFeatures, np.ndarray]:
    """Labels without any reason but that the copies of one picture share theirs."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((groups, 60)).astype(np.float32).repeat(copies, axis=0)
    labels = np.repeat(np.arange(groups) % 2, copies)
    return LabelledFeatures(features, labels), np.arange(groups).repeat(copies)


def test_groups_never_straddle_folds() -> None:
    samples, groups = copies_of_noise(groups=40, copies=4)
    together = np.mean(cross_validate(samples, groups, head(), 5, seed=0).top1)
    apart = np.mean(cross_validate(samples, np.arange(len(groups)), head(), 5, seed=0).top1)
    assert together < 0.75, "copies of a held-out photo were trained on"
    assert apart > 0.95  # so the test above would see a leak


def test_each_fold_has_a_score() -> None:
    features = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    samples = LabelledFeatures(features, np.repeat(np.arange(3), 10))
    assert cross_validate(samples, np.arange(30), head(), 5, seed=0).top1 == (1.0,) * 5
    assert cross_validate(samples, np.arange(30), head(), 2, seed=0).top1 == (1.0,) * 2


def test_the_seed_decides_the_folds() -> None:
    rng = np.random.default_rng(1)
    samples = LabelledFeatures(rng.standard_normal((60, 4)).astype(np.float32), np.arange(60) % 3)
    one, again, other = (cross_validate(samples, np.arange(60), head(), 4, seed).top1 for seed in (0, 0, 1))
    assert one == again
    assert one != other


@pytest.mark.parametrize("first", [0, 2])
def test_a_class_that_one_fold_holds_whole(first: int) -> None:
    """Its photos hang together, so they cannot be trained on; the other classes keep their right indices."""
    order = np.roll(np.arange(3), first)  # the rare class is the first or the last index
    features = np.concatenate(
        [np.repeat(np.eye(3, dtype=np.float32)[:2], 12, axis=0), np.eye(3, dtype=np.float32)[[2, 2]]]
    )
    labels = order[np.array([0] * 12 + [1] * 12 + [2] * 2)]
    groups = np.array([*range(24), 0, 0])  # tied to a photo of another class
    scores = cross_validate(LabelledFeatures(features, labels), groups, head(), 2, seed=0).top1
    right = sum(round(score * n) for score, n in zip(sorted(scores), (14, 12), strict=True))
    assert right == 24, "all but the two that could not be learned"


def test_every_photo_is_answered_once_and_an_unseen_class_never() -> None:
    labels = np.array([0, 1] * 10 + [2])
    features = np.eye(3, dtype=np.float32)[labels]
    seen = []
    for held_out, logits in each_fold(LabelledFeatures(features, labels), np.arange(21), head(), 5, seed=0):
        seen += held_out.tolist()
        assert logits.shape == (len(held_out), 3)
        assert np.isneginf(logits[:, 2]).all() == (20 in held_out)
        known = labels[held_out] < 2
        assert (logits.argmax(axis=1) == labels[held_out])[known].all()
    assert sorted(seen) == list(range(21))


def test_held_out_answers_are_those_of_the_folds() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(60) % 3
    samples = LabelledFeatures((np.eye(3)[labels] + rng.standard_normal((60, 3))).astype(np.float32), labels)
    found = cross_validate(samples, np.arange(60), head(), 4, seed=0)
    for fold, (held_out, logits) in enumerate(each_fold(samples, np.arange(60), head(), 4, seed=0)):
        assert np.flatnonzero(found.folds == fold).tolist() == sorted(held_out)
        assert (found.logits[held_out] == logits).all()
    warm, hot = found.probabilities(1.0), found.probabilities(4.0)
    assert warm.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-6)
    assert (warm.max(axis=1) > hot.max(axis=1)).all()
    assert 0 < found.correct.sum() == (warm.argmax(axis=1) == labels).sum() < 60
