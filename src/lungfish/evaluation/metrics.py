"""Measure how well a classifier does on labelled photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungfish.core.errors import UsageError
from lungfish.evaluation.answers import as_probabilities, top_answers
from lungfish.evaluation.calibration import expected_calibration_error, reliability_of
from lungfish.evaluation.confusion import confusion_matrix

Z95 = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class Metrics:
    """The figures of one classifier on n photos.

    Args:
        top1: Share of photos answered correctly, in [0, 1].
        macro_f1: F1 averaged with equal weights over all classes of the classifier, or over those with photos (see
            `score`). A class with neither a photo nor an answer counts as 0, as in scikit-learn's
            `f1_score(labels=range(classes), average="macro", zero_division=0)`.
        ece: Expected calibration error of the top answer, 15 bins of equal width, in [0, 1].
        ci95: Wilson 95 % interval of `top1`.
        n: Number of photos.
    """

    top1: float
    macro_f1: float
    ece: float
    ci95: tuple[float, float]
    n: int

    @property
    def correct(self) -> int:
        """Number of photos answered correctly."""
        return round(self.top1 * self.n)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON, rounded to six decimals."""
        return {
            "top1": round(self.top1, 6),
            "macro_f1": round(self.macro_f1, 6),
            "ece": round(self.ece, 6),
            "ci95": [round(bound, 6) for bound in self.ci95],
            "n": self.n,
        }


@dataclass(frozen=True)
class ClassScore:
    """The figures of one class.

    Args:
        label: Name of the class.
        precision: Share of the photos predicted as `label` that belong to it; 0 if none was predicted.
        recall: Share of the photos of `label` that were predicted as such; 0 if it has no photos.
        f1: Harmonic mean of precision and recall.
        n: Number of photos whose truth is `label`.
        ci95: Wilson 95 % interval of `recall`; (0, 1) without photos.
    """

    label: str
    precision: float
    recall: float
    f1: float
    n: int
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON, rounded to six decimals; null figures for a class without photos."""
        if self.n == 0:
            return {"label": self.label, "precision": None, "recall": None, "f1": None, "n": 0, "ci95": None}
        return {
            "label": self.label,
            "precision": round(self.precision, 6),
            "recall": round(self.recall, 6),
            "f1": round(self.f1, 6),
            "n": self.n,
            "ci95": [round(bound, 6) for bound in self.ci95],
        }


def score(probabilities: ArrayLike, truth: ArrayLike, *, present_only: bool = False) -> Metrics:
    """Measure a classifier on labelled photos.

    Args:
        probabilities: float `[n, classes]` in [0, 1], n at least 1.
        truth: int `[n]`, index of the true class.
        present_only: Whether to average F1 over the classes that have photos, like scikit-learn's
            `labels=unique(truth)`.

    Raises:
        UsageError: The shapes do not match, a value is not a probability, or a class index does not exist.

    Example:
        metrics = score([[0.9, 0.1], [0.4, 0.6]], [0, 0])  # metrics.top1 is 0.5
    """
    answers = top_answers(probabilities, truth)
    correct, n = int(answers.correct.sum()), len(answers.correct)
    confusion = confusion_matrix(probabilities, truth)
    _, _, f1 = _precision_recall_f1(confusion)
    if present_only:
        f1 = f1[confusion.sum(axis=1) > 0]
    ece = expected_calibration_error(reliability_of(answers))
    return Metrics(correct / n, float(f1.mean()), ece, wilson(correct, n), n)


def per_class(confusion: NDArray[np.int64], labels: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return one row for each class, in the order of `labels`.

    Args:
        confusion: int `[classes, classes]`, indexed `[truth, predicted]`.
        labels: Names of the classes.

    Raises:
        UsageError: The matrix does not have one row and one column for each label.
    """
    if confusion.shape != (len(labels), len(labels)):
        raise UsageError(f"the confusion matrix has shape {confusion.shape} for {len(labels)} labels")
    precision, recall, f1 = (figures.tolist() for figures in _precision_recall_f1(confusion))
    hits, n = confusion.diagonal().tolist(), confusion.sum(axis=1).tolist()
    return tuple(
        ClassScore(label, precision[i], recall[i], f1[i], n[i], wilson(hits[i], n[i])) for i, label in enumerate(labels)
    )


def agreement(probabilities: ArrayLike, others: ArrayLike) -> float:
    """Return the share of photos for which two classifiers give the same top answer.

    Args:
        probabilities, others: float `[n, classes]` for the same photos in the same order.

    Raises:
        UsageError: The shapes differ.
    """
    p, q = as_probabilities(probabilities), as_probabilities(others)
    if p.shape != q.shape:
        raise UsageError(f"cannot compare probabilities of shapes {p.shape} and {q.shape}")
    return float((p.argmax(axis=1) == q.argmax(axis=1)).mean())


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of the share `correct / n`; (0, 1) if `n` is 0.

    Source: Wilson, Probable Inference, JASA 22 (1927), without continuity correction.

    Raises:
        UsageError: Not 0 <= correct <= n.
    """
    if not 0 <= correct <= n:
        raise UsageError(f"{correct} of {n} is not a valid share")
    return wilson_share(correct / n, n) if n else (0.0, 1.0)


def wilson_share(share: float, n: int) -> tuple[float, float]:
    """Return the `wilson` interval of a share that may come from more than `n` photos, `n` of which are independent.

    Args:
        share: Share of photos answered correctly, in [0, 1].
        n: Number of independent photos, at least 1: copies and photos of one group count once.
    """
    z2 = Z95**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # for these shares a bound is exactly 0 or 1, which rounding could overstep
    low = 0.0 if share == 0 else center - half
    high = 1.0 if share == 1 else center + half
    return (low, high)


def _precision_recall_f1(confusion: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    hits = confusion.diagonal()
    called, present = confusion.sum(axis=0), confusion.sum(axis=1)
    return _ratio(hits, called), _ratio(hits, present), _ratio(2 * hits, called + present)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return part / np.maximum(whole, 1)
