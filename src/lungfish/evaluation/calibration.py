"""Measure whether stated probabilities can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lungfish.evaluation.answers import Answers, top_answers

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """The photos whose top probability lies in (`low`, `high`].

    Args:
        low, high: Edges of the bin, in [0, 1].
        count: Number of photos in the bin; never 0.
        confidence: Mean top probability.
        accuracy: Share of correct answers.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        return {key: round(value, 6) for key, value in asdict(self).items()}


def reliability(probabilities: ArrayLike, truth: ArrayLike, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Group photos by their top probability into `bins` bins of equal width; empty bins are omitted.

    Args:
        probabilities: float `[n, classes]`.
        truth: int `[n]`.
        bins: Number of bins.

    Raises:
        UsageError: As `top_answers`.
    """
    return reliability_of(top_answers(probabilities, truth), bins)


def reliability_of(answers: Answers, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Compute `reliability` from answers."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.searchsorted(edges[1:-1], answers.confidence, side="left")
    rows = []
    for i in np.unique(which).tolist():
        inside = which == i
        confidence, accuracy = answers.confidence[inside].mean(), answers.correct[inside].mean()
        rows.append(
            ReliabilityBin(float(edges[i]), float(edges[i + 1]), int(inside.sum()), float(confidence), float(accuracy))
        )
    return tuple(rows)


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean distance between confidence and accuracy over the bins, weighted by number of photos; in [0, 1].

    Source: Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599, equation 3.
    """
    return sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / sum(b.count for b in bins)
