import numpy as np
import pytest

from lungfish.evaluation.calibration import expected_calibration_error, reliability


def binary(confidence: list[float]) -> np.ndarray:
    return np.array([[c, 1 - c] for c in confidence])


def test_bins_by_hand():
    p = binary([0.95, 0.99, 0.62, 0.64])
    low, high = reliability(p, np.array([0, 1, 0, 0]), bins=10)
    assert (low.low, low.high, low.count, low.accuracy) == (pytest.approx(0.6), pytest.approx(0.7), 2, 1.0)
    assert low.confidence == pytest.approx(0.63)
    assert (high.count, high.accuracy, high.confidence) == (2, 0.5, pytest.approx(0.97))
    assert expected_calibration_error((low, high)) == pytest.approx((0.37 + 0.47) / 2)


def test_an_edge_belongs_to_the_bin_below():
    (only,) = reliability(binary([0.75]), np.array([0]), bins=4)
    assert (only.low, only.high) == (0.5, 0.75)
    (top,) = reliability(binary([1.0]), np.array([0]), bins=4)
    assert top.high == 1.0


def test_every_photo_is_in_one_bin():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), 500)
    bins = reliability(p, rng.integers(0, 5, 500))
    assert sum(b.count for b in bins) == 500
    assert all(b.low <= b.confidence <= b.high for b in bins)


def test_a_calibrated_classifier_has_a_small_error_and_a_boastful_one_a_large_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    truth = (rng.uniform(size=20_000) > confidence).astype(int)
    honest = expected_calibration_error(reliability(binary(confidence.tolist()), truth))
    boastful = expected_calibration_error(reliability(binary([0.999] * 20_000), truth))
    assert honest < 0.01
    assert boastful == pytest.approx(0.249, abs=0.01)
