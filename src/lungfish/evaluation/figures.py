"""Compute all figures of a classifier on one set of labelled photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungfish.evaluation.calibration import ReliabilityBin, reliability
from lungfish.evaluation.confusion import confusion_matrix
from lungfish.evaluation.metrics import Metrics, score


@dataclass(frozen=True, eq=False)
class Figures:
    """The figures of one classifier on one set of photos.

    Args:
        metrics: Headline figures.
        confusion: int `[classes, classes]`, indexed `[truth, predicted]`.
        calibration: Reliability bins that are not empty.
    """

    metrics: Metrics
    confusion: NDArray[np.int64]
    calibration: tuple[ReliabilityBin, ...]


def figures(probabilities: ArrayLike, truth: ArrayLike) -> Figures:
    """Measure a classifier on labelled photos.

    Args:
        probabilities: float `[n, classes]` in [0, 1], n at least 1.
        truth: int `[n]`, index of the true class.

    Raises:
        UsageError: As `score`.
    """
    return Figures(
        score(probabilities, truth), confusion_matrix(probabilities, truth), reliability(probabilities, truth)
    )
