"""Metrics against scikit-learn and against cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score, precision_recall_fscore_support

from lungfish.core.errors import UsageError
from lungfish.evaluation.answers import top_answers
from lungfish.evaluation.confusion import ConfusedPair, confusion_matrix, most_confused
from lungfish.evaluation.metrics import agreement, per_class, score, wilson

HAND = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.3, 0.7, 0.0]])
HAND_TRUTH = np.array([0, 1, 1, 0])


def random_answers(seed: int, n: int = 200, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.5), n), rng.integers(0, classes, n)


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_scikit_learn(seed):
    p, truth = random_answers(seed)
    predicted, every = p.argmax(1), range(7)
    metrics, confusion = score(p, truth), confusion_matrix(p, truth)
    assert metrics.top1 == (predicted == truth).mean()
    assert metrics.macro_f1 == pytest.approx(
        f1_score(truth, predicted, labels=every, average="macro", zero_division=0), abs=1e-12
    )
    assert (confusion == sklearn_confusion(truth, predicted, labels=every)).all()
    rows = per_class(confusion, [f"c{i}" for i in every])
    expected = precision_recall_fscore_support(truth, predicted, labels=every, zero_division=0)
    for row, precision, recall, f1, n in zip(rows, *expected, strict=True):
        assert (row.precision, row.recall, row.f1) == pytest.approx((precision, recall, f1), abs=1e-12)
        assert row.n == n


def test_a_class_without_photos_counts_as_zero():
    assert score(HAND, HAND_TRUTH).macro_f1 == pytest.approx((0.5 + 0.5 + 0) / 3)
    row = per_class(confusion_matrix(HAND, HAND_TRUTH), ["a", "b", "never"])[2]
    assert (row.precision, row.recall, row.f1, row.n, row.ci95) == (0, 0, 0, 0, (0, 1))


def test_confusion_is_indexed_by_truth_then_prediction():
    p = np.array([[0.1, 0.9], [0.1, 0.9], [0.2, 0.8]])
    assert confusion_matrix(p, np.array([0, 0, 1])).tolist() == [[0, 2], [0, 1]]


def test_expected_calibration_error_by_hand():
    # four photos in four bins, confidence 0.9 0.6 0.8 0.7, correct yes no yes no
    assert score(HAND, HAND_TRUTH).ece == pytest.approx((0.1 + 0.6 + 0.2 + 0.7) / 4)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # published in Newcombe 1998 and Brown, Cai, DasGupta 2001, to four decimals
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_published_values(correct, n, low, high):
    assert wilson(correct, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_of_nothing_is_everything():
    assert wilson(0, 0) == (0.0, 1.0)


def test_agreement_is_the_share_of_equal_top_answers():
    assert agreement(HAND, HAND) == 1.0
    assert agreement(HAND, HAND[[0, 2, 2, 0]]) == 0.5


def test_most_confused_pairs_are_ordered_by_count_then_share():
    confusion = np.array([[5, 2, 0], [3, 1, 0], [2, 0, 0]])
    assert most_confused(confusion, ["a", "b", "c"], 2) == (ConfusedPair("b", "a", 3, 4), ConfusedPair("c", "a", 2, 2))
    assert most_confused(np.eye(3, dtype=np.int64), ["a", "b", "c"], 2) == ()


def test_worst_mistakes_are_the_most_confident():
    answers = top_answers(HAND, HAND_TRUTH)
    assert answers.worst_mistakes().tolist() == [3, 1]
    assert answers.worst_mistakes(1).tolist() == [3]


def test_json_has_the_keys_of_the_contract():
    assert score(HAND, HAND_TRUTH).to_json() == {
        "top1": 0.5,
        "macro_f1": 0.333333,
        "ece": 0.4,
        "ci95": [0.150039, 0.849961],
        "n": 4,
    }
    assert list(per_class(np.eye(2, dtype=int), ["a", "b"])[0].to_json()) == [
        "label",
        "precision",
        "recall",
        "f1",
        "n",
        "ci95",
    ]


@pytest.mark.parametrize(
    ("p", "truth", "says"),
    [
        (np.ones((3, 2)) / 2, np.array([0, 1]), r"expected integers of shape \(3,\)"),
        (np.ones((2, 2)) / 2, np.array([0.0, 1.0]), "float64"),
        (np.ones((2, 2)) / 2, np.array([0, 2]), "they must be 0 to 1"),
        (np.ones((2, 2)) / 2, np.array([-1, 0]), "class indices -1 to 0"),
        (np.ones(3), np.array([0, 0, 0]), r"shape \(3,\)"),
        (np.ones((0, 2)), np.zeros(0, int), "n at least 1"),
        (np.array([[np.nan, 1.0]]), np.array([0]), "without NaN"),
        (np.array([[2.0, -1.0]]), np.array([0]), "range from -1 to 2"),
    ],
)
def test_what_does_not_fit_is_refused(p, truth, says):
    with pytest.raises(UsageError, match=says):
        score(p, truth)


def test_mismatched_comparisons_are_refused():
    with pytest.raises(UsageError, match=r"\(4, 3\) and \(4, 2\)"):
        agreement(HAND, HAND[:, :2])
    with pytest.raises(UsageError, match="3 labels"):
        per_class(np.eye(2, dtype=int), ["a", "b", "c"])
    with pytest.raises(UsageError, match="5 of 4"):
        wilson(5, 4)
