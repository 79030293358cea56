"""Count which classes are confused with which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungfish.evaluation.answers import as_probabilities, top_answers


@dataclass(frozen=True)
class ConfusedPair:
    """`count` of the `n` photos of `truth` were classified as `predicted`."""

    truth: str
    predicted: str
    count: int
    n: int


def confusion_matrix(probabilities: ArrayLike, truth: ArrayLike) -> NDArray[np.int64]:
    """Count the photos of each class by their predicted class.

    Args:
        probabilities: float `[n, classes]`.
        truth: int `[n]`.

    Returns:
        int `[classes, classes]`, indexed `[truth, predicted]`.

    Raises:
        UsageError: As `top_answers`.
    """
    answers = top_answers(probabilities, truth)
    classes = as_probabilities(probabilities).shape[1]
    pairs = np.asarray(truth) * classes + answers.predicted
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def most_confused(confusion: NDArray[np.int64], labels: Sequence[str], most: int) -> tuple[ConfusedPair, ...]:
    """Return at most `most` pairs of confused classes, the most frequent first.

    Pairs of equal count are ordered by their share of the true class, then by class index.
    """
    n = confusion.sum(axis=1)
    rows, columns = np.nonzero(confusion * (1 - np.eye(len(confusion), dtype=np.int64)))
    counts = confusion[rows, columns]
    order = np.lexsort((columns, rows, -counts / n[rows], -counts))[:most]
    return tuple(
        ConfusedPair(labels[rows[i]], labels[columns[i]], int(counts[i]), int(n[rows[i]])) for i in order.tolist()
    )
