import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lungfish.core.errors import UsageError
from lungfish.evaluation.rejection import (
    GRID,
    HIGHEST,
    LabelledAnswers,
    choose_supported,
    choose_threshold,
    coverage_table,
)

confidences = arrays(np.float64, st.integers(1, 60), elements=st.floats(0.5, 1.0))


def binary(confidence: np.ndarray) -> np.ndarray:
    return np.stack([confidence, 1 - confidence], axis=1)


@given(confidences, st.integers(0, 2**60 - 1), st.sampled_from([0.8, 0.9, 0.95, 1.0]))
def test_threshold_keeps_its_share_and_no_step_more_would(confidence, bits, keep):
    # 0.5 against 0.5 goes to the first class
    truth = np.array([bits >> i & 1 for i in range(len(confidence))])
    threshold = choose_threshold(binary(confidence), truth, keep)
    right = confidence[truth == 0]
    assert threshold.correct == len(right)
    assert threshold.kept == (right >= threshold.value).sum()
    if len(right):
        assert threshold.kept >= keep * len(right) - 1e-9
        assert threshold.value == HIGHEST or (right >= threshold.value + 1e-4).sum() < keep * len(right) + 1e-9
    else:
        assert threshold.value == 0


@given(confidences, st.floats(0, 1))
def test_coverage_falls_as_the_threshold_rises(confidence, chosen):
    rows = coverage_table(binary(confidence), np.zeros(len(confidence), int), chosen)
    coverage = [row.coverage for row in rows]
    assert coverage == sorted(coverage, reverse=True)
    assert rows[0].coverage == 1
    assert [row.threshold for row in rows if row.chosen] == [chosen]
    assert {row.threshold for row in rows} == {*GRID, chosen}


def test_threshold_by_hand():
    # 40 correct answers at 0.60, 0.61 ... 0.99: two may be lost
    confidence = np.arange(60, 100) / 100
    threshold = choose_threshold(binary(confidence), np.zeros(40, int))
    assert (threshold.value, threshold.kept, threshold.is_rough) == (0.62, 38, False)


def test_few_validation_photos_keep_all_their_correct_answers():
    threshold = choose_threshold(binary(np.array([0.51, 0.9, 0.99])), np.array([0, 0, 1]))
    assert (threshold.value, threshold.correct, threshold.kept, threshold.is_rough) == (0.51, 2, 2, True)


def test_coverage_by_hand():
    p = binary(np.array([0.55, 0.75, 0.85, 0.97]))
    rows = {row.threshold: row for row in coverage_table(p, np.array([1, 0, 1, 0]), 0.75)}
    assert (rows[0.0].n, rows[0.0].accuracy) == (4, 0.5)
    assert (rows[0.75].n, rows[0.75].coverage, rows[0.75].accuracy) == (3, 0.75, pytest.approx(2 / 3))
    assert (rows[0.99].n, rows[0.99].coverage, rows[0.99].accuracy) == (0, 0, None)
    assert rows[0.75].to_json() == {
        "threshold": 0.75,
        "coverage": 0.75,
        "accuracy": 0.666667,
        "n": 3,
        "chosen": True,
    }


def test_a_share_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"keep is 1\.5"):
        choose_threshold(binary(np.array([0.9])), np.array([0]), keep=1.5)


def test_the_threshold_stays_below_where_rounding_decides() -> None:
    certain = np.tile([[1.0, 0.0]], (50, 1))
    threshold = choose_threshold(certain, np.zeros(50, np.int64))
    assert (threshold.value, threshold.kept) == (0.99, 50)


def answers(n: int, confidence: float) -> LabelledAnswers:
    return LabelledAnswers(binary(np.full(n, confidence)), np.zeros(n, int))


@pytest.mark.parametrize(
    ("val", "crossed", "chosen_on", "value", "n"),
    [
        (50, 500, "validation", 0.8, 50),
        (49, 50, "cross-validation", 0.6, 50),
        (49, 49, "none", 0.0, 49),
        (49, None, "none", 0.0, 49),
        (3, 30, "none", 0.0, 30),
    ],
)
def test_a_threshold_needs_answers(val: int, crossed: int | None, chosen_on: str, value: float, n: int) -> None:
    """Validation is certain at 0.8 here, cross-validation at 0.6."""
    chosen = choose_supported(answers(val, 0.8), answers(crossed, 0.6) if crossed else None)
    assert (chosen.chosen_on, chosen.value, chosen.n) == (chosen_on, value, n)
    assert chosen.to_json()["chosen_on"] == chosen_on
    assert chosen.is_rough is False
