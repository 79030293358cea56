import numpy as np
import pytest
from scipy.special import softmax

from lungfish.training.label_errors import FOLDS, doubtful_labels, find_label_errors
from lungfish.training.probe import Head, LabelledFeatures

CLASSES, EACH = 4, 150


def head(penalty: float = 0.03) -> Head:
    empty = np.empty((0, 0), np.float32)
    return Head(empty, empty, penalty, balanced=False, temperature=1.0, tried={})


def clouds(seed: int = 0, spread: float = 1.0) -> LabelledFeatures:
    """Four clouds, apart enough for one error in a hundred."""
    rng = np.random.default_rng(seed)
    labels = np.arange(CLASSES * EACH) % CLASSES
    noise = spread * rng.standard_normal((len(labels), 16))
    return LabelledFeatures((4 * np.eye(16)[labels] + noise).astype(np.float32), labels)


def mislabelled(samples: LabelledFeatures, share: float = 0.05, seed: int = 1) -> tuple[LabelledFeatures, set[int]]:
    """Some labels replaced by other ones, and whose."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(samples.labels), round(share * len(samples.labels)), replace=False)
    labels = samples.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, CLASSES, len(wrong))) % CLASSES
    return LabelledFeatures(samples.features, labels), set(wrong.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_wrong_labels_are_found_and_the_right_ones_suggested(seed: int) -> None:
    true = clouds(seed)
    samples, wrong = mislabelled(true, seed=seed)
    suspects = find_label_errors(samples, np.arange(len(samples.labels)), head(), 0)
    found = {index for index, _, _ in suspects}
    assert len(found & wrong) >= 0.6 * len(wrong)
    assert len(found & wrong) >= 0.9 * len(found)
    for index, suggested, probability in suspects:
        assert suggested != samples.labels[index]
        assert 0 < probability <= 1
        if index in wrong:
            assert suggested == true.labels[index]


def test_right_labels_are_left_alone() -> None:
    assert find_label_errors(clouds(spread=0.3), np.arange(CLASSES * EACH), head(), 0) == []


def test_the_most_doubtful_come_first() -> None:
    """A photo amid another class before one between the classes."""
    samples, _ = mislabelled(clouds(), share=0)
    samples.features[0] = 4 * np.eye(16)[1]
    samples.features[4] = 2.2 * np.eye(16)[1] + 1.8 * np.eye(16)[0]
    samples.features[8] = 5 * np.eye(16)[2]
    suspects = [index for index, _, _ in find_label_errors(samples, np.arange(len(samples.labels)), head(), 0)]
    assert suspects[:2] in ([0, 8], [8, 0])


def test_copies_do_not_vouch_for_each_other() -> None:
    """Features so wide that a head knows its training photos by heart: a copy with the same label hides the error."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    features = rng.standard_normal((120, 400)).astype(np.float32)
    features[:, :2] += 6 * np.eye(2, dtype=np.float32)[labels]
    labels[:6] = 1 - labels[:6]
    doubled = LabelledFeatures(features.repeat(2, axis=0), labels.repeat(2))
    wrong = set(range(12))
    together = {index for index, _, _ in find_label_errors(doubled, np.arange(120).repeat(2), head(1e-4), 0)}
    apart = {index for index, _, _ in find_label_errors(doubled, np.arange(240), head(1e-4), 0)}
    assert together >= wrong
    assert not apart & wrong  # so the test above would see a leak


def test_a_class_of_too_few_groups_is_not_judged() -> None:
    """Nor does it keep the others from it."""
    samples, wrong = mislabelled(clouds())
    rare = (4 * np.eye(16)[0] + np.random.default_rng(5).standard_normal((FOLDS - 1, 16))).astype(np.float32)
    more = LabelledFeatures(
        np.concatenate([samples.features, rare]), np.concatenate([samples.labels, np.full(len(rare), CLASSES)])
    )
    found = {index for index, _, _ in find_label_errors(more, np.arange(len(more.labels)), head(), 0)}
    assert found & wrong
    assert not found & set(range(len(samples.labels), len(more.labels)))
    few = LabelledFeatures(samples.features[:8], samples.labels[:8])
    assert find_label_errors(few, np.arange(8), head(), 0) == []


def test_one_class_alone_is_not_judged() -> None:
    """Of two classes the other one is too small: there is nothing that a label could be confused with."""
    samples = clouds()
    one, few = np.flatnonzero(samples.labels == 0), np.flatnonzero(samples.labels == 1)[: FOLDS - 1]
    both = np.concatenate([one, few])
    found = find_label_errors(
        LabelledFeatures(samples.features[both], samples.labels[both]), np.arange(len(both)), head(), 0
    )
    assert found == []


def test_the_same_seed_finds_the_same() -> None:
    samples, _ = mislabelled(clouds())
    one, again = (find_label_errors(samples, np.arange(len(samples.labels)), head(), 3) for _ in range(2))
    assert one == again


@pytest.mark.parametrize("seed", range(20))
def test_doubtful_labels_are_those_of_cleanlab(seed: int) -> None:
    """From sure and right to unsure and mostly wrong, with a class that no photo has."""
    find_label_issues = pytest.importorskip("cleanlab.filter").find_label_issues
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, 300)
    labels = np.where(rng.random(300) < rng.choice((0.02, 0.2, 0.6)), rng.integers(0, CLASSES, 300), truth)
    logits = rng.choice((1, 4, 30)) * np.eye(CLASSES + 1)[truth] + rng.standard_normal((300, CLASSES + 1))
    probabilities = softmax(logits, axis=1).astype(np.float32)
    theirs = find_label_issues(
        labels, probabilities, filter_by="low_self_confidence", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    assert doubtful_labels(labels, probabilities).tolist() == theirs.tolist()
