from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from scipy.special import softmax

from lungfish.training import probe
from lungfish.training.probe import (
    Head,
    LabelledFeatures,
    Labels,
    cross_entropy,
    fit_penalty,
    fit_probe,
    fit_temperature,
    is_balanced,
)
from lungfish.training.recipe import Recipe

WIDTH = 12


def blobs(counts: list[int], spread: float, seed: int) -> LabelledFeatures:
    """Gaussian clouds around fixed centers, one for each class."""
    centers = 2 * np.random.default_rng(99).standard_normal((len(counts), WIDTH))
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = spread * np.random.default_rng(seed).standard_normal((len(labels), WIDTH))
    return LabelledFeatures((3 + centers[labels] + noise).astype(np.float32), labels)


def answers(head: Head, samples: LabelledFeatures) -> Labels:
    labels: Labels = head.logits(samples.features).argmax(axis=1)
    return labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_separable_classes_are_told_apart(classes: int) -> None:
    head = fit_probe(blobs([30] * classes, 0.3, 0), blobs([10] * classes, 0.3, 1), Recipe())
    test = blobs([20] * classes, 0.3, 2)
    assert head.weight.shape == (classes, WIDTH)
    assert head.bias.shape == (classes,)
    assert head.weight.dtype == head.bias.dtype == np.float32
    assert (answers(head, test) == test.labels).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_penalty_has_the_least_validation_loss_of_all(seed: int) -> None:
    train, val = blobs([15, 15, 15], 3.0, seed), blobs([40, 40, 40], 3.0, 100 + seed)
    recipe = Recipe()
    head = fit_probe(train, val, recipe)
    losses = {
        penalty: cross_entropy(fit_penalty(train, penalty, balanced=False).logits(val.features), val.labels).mean()
        for penalty in recipe.penalties
    }
    assert head.penalty == min(losses, key=losses.__getitem__)
    assert head.penalty == min(head.tried, key=head.tried.__getitem__)
    assert head.tried[head.penalty] == pytest.approx(losses[head.penalty], rel=1e-2)


def test_penalties_in_any_order_give_the_same_head() -> None:
    train, val = blobs([15, 15], 3.0, 0), blobs([40, 40], 3.0, 1)
    usual = fit_probe(train, val, Recipe())
    shuffled = fit_probe(train, val, Recipe(penalties=tuple(sorted(Recipe().penalties))))
    assert shuffled.penalty == usual.penalty
    np.testing.assert_array_equal(shuffled.weight, usual.weight)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_temperature_recovers_a_known_scale(scale: float) -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((20_000, 5)).astype(np.float32)
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1).clip(0, 4)
    assert fit_temperature(np.float32(scale) * logits, labels) == pytest.approx(scale, rel=0.03)


def test_temperature_stays_in_its_range() -> None:
    logits = np.tile(np.eye(3, dtype=np.float32), (100, 1))
    right = np.tile(np.arange(3), 100)
    assert fit_temperature(logits / np.float32(100), right) == pytest.approx(0.2, rel=1e-2)
    assert fit_temperature(logits, (right + 1) % 3) == pytest.approx(5.0, rel=1e-2)


@pytest.mark.parametrize("n", [9, 30, 300])
def test_photos_all_answered_right_are_believed_as_far_as_their_number_goes(n: int) -> None:
    labels = np.arange(n) % 3
    logits = 10 * np.eye(3, dtype=np.float32)[labels]
    surest = softmax(logits / fit_temperature(logits, labels), axis=1).max()
    assert surest == pytest.approx(1 - 1 / (n + 2), abs=2e-3)


def test_temperature_lowers_the_loss_of_the_head_that_ships() -> None:
    train, val = blobs([8, 8, 8], 3.0, 0), blobs([40, 40, 40], 3.0, 1)
    head = fit_probe(train, val, Recipe(penalties=(1e-4,)))
    logits = head.logits(val.features)
    assert head.temperature > 1.2  # hardly penalized, so far too sure
    calibrated = cross_entropy(logits / np.float32(head.temperature), val.labels)
    assert calibrated.mean() < cross_entropy(logits, val.labels).mean() - 0.01


@pytest.mark.parametrize(
    ("class_weight", "counts", "expected"),
    [
        ("auto", [10, 10], False),
        ("auto", [15, 10], False),
        ("auto", [16, 10], True),
        ("none", [100, 10], False),
        ("balanced", [10, 10], True),
    ],
)
def test_when_classes_weigh_the_same(class_weight: str, counts: list[int], expected: bool) -> None:
    recipe = replace(Recipe(), class_weight=class_weight)  # type: ignore[arg-type]
    assert is_balanced(np.repeat(np.arange(2), counts), recipe) is expected


def test_balancing_helps_the_rare_class() -> None:
    train, val, test = blobs([200, 12], 4.0, 0), blobs([100, 100], 4.0, 1), blobs([400, 400], 4.0, 2)
    recall = {}
    weights: tuple[Literal["none", "balanced"], ...] = ("none", "balanced")
    for class_weight in weights:
        recipe = Recipe(penalties=(0.1,), class_weight=class_weight)
        head = fit_probe(train, val, recipe)
        assert head.balanced is (class_weight == "balanced")
        recall[class_weight] = (answers(head, test)[400:] == 1).mean()
    assert recall["balanced"] > recall["none"] + 0.1


def test_the_same_bits_twice() -> None:
    train, val = blobs([30, 20, 10], 2.0, 0), blobs([10, 10, 10], 2.0, 1)
    one, two = (fit_probe(train, val, Recipe()) for _ in range(2))
    assert one.weight.tobytes() == two.weight.tobytes()
    assert one.bias.tobytes() == two.bias.tobytes()
    assert (one.penalty, one.temperature, one.tried) == (two.penalty, two.temperature, two.tried)


@pytest.mark.parametrize("counts", [[25, 25], [40, 20, 30]])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_folded_head_answers_as_scikit_learn(counts: list[int], balanced: bool) -> None:
    from sklearn.linear_model import LogisticRegression

    train, test, penalty = blobs(counts, 2.0, 0), blobs([10] * len(counts), 2.0, 1), 0.03
    mean, scale = train.features.mean(axis=0), train.features.std(axis=0).mean()
    model = LogisticRegression(
        C=1 / (penalty * len(train.labels)), max_iter=300, class_weight="balanced" if balanced else None
    )
    model.fit((train.features - mean) / scale, train.labels)
    head = fit_penalty(train, penalty, balanced=balanced)
    ours = softmax(head.logits(test.features), axis=1)
    np.testing.assert_allclose(ours, model.predict_proba((test.features - mean) / scale), atol=2e-5)


def test_features_that_never_change() -> None:
    labels = np.array([0, 0, 0, 1])
    head = fit_probe(
        LabelledFeatures(np.ones((4, 3), np.float32), labels),
        LabelledFeatures(np.ones((2, 3), np.float32), labels[2:]),
        Recipe(),
    )
    assert np.isfinite(head.weight).all()
    assert np.isfinite(head.bias).all()


def test_cross_entropy_in_nats() -> None:
    logits = np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32))
    assert cross_entropy(logits, np.array([0, 1])) == pytest.approx([-np.log(0.5), -np.log(0.1)], rel=1e-6)
    assert np.isfinite(cross_entropy(np.array([[1e4, -1e4]], np.float32), np.array([1]))).all()


def test_a_fit_that_does_not_converge_is_judged_without_a_word(monkeypatch):
    """Warnings are errors in tests: a library's own would end the job here, and reach a person's terminal."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6)).astype(np.float32) * np.array([1e4, 1, 1, 1, 1, 1], np.float32)
    labels = rng.integers(0, 3, 40)
    monkeypatch.setattr(probe, "MAX_STEPS", 2)
    weight, bias = probe._Path(LabelledFeatures(features, labels), balanced=False).fit(1e-3)
    assert np.isfinite(weight).all()
    assert np.isfinite(bias).all()
