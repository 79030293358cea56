"""Compare a classifier's answers with the true labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungfish.core.errors import UsageError


@dataclass(frozen=True, eq=False)
class Answers:
    """The top answer for each of n photos.

    Args:
        predicted: int `[n]`, index of the class with the highest probability; the first one in a tie.
        confidence: float `[n]` in [0, 1], probability of `predicted`.
        correct: bool `[n]`, whether `predicted` is the true class.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]

    def worst_mistakes(self, most: int = 24) -> NDArray[np.int64]:
        """Return the indices of at most `most` wrong answers, the most confident first."""
        wrong = np.flatnonzero(~self.correct)
        order = np.argsort(-self.confidence[wrong], kind="stable")
        return wrong[order][:most]


def top_answers(probabilities: ArrayLike, truth: ArrayLike) -> Answers:
    """Compare the top answers with the truth.

    Args:
        probabilities: float `[n, classes]` in [0, 1], n at least 1.
        truth: int `[n]`, index of the true class.

    Raises:
        UsageError: The shapes do not match, a value is not a probability, or a class index does not exist.
    """
    p = as_probabilities(probabilities)
    t = np.asarray(truth)
    if t.shape != p.shape[:1] or not np.issubdtype(t.dtype, np.integer):
        raise UsageError(f"truth is {t.dtype} {t.shape}; expected integers of shape ({len(p)},), one for each photo")
    if t.min() < 0 or t.max() >= p.shape[1]:
        raise UsageError(f"truth holds class indices {t.min()} to {t.max()}; they must be 0 to {p.shape[1] - 1}")
    predicted = p.argmax(axis=1)
    return Answers(predicted, p.max(axis=1), predicted == t)


def as_probabilities(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return `probabilities` as float64 `[n, classes]`.

    Raises:
        UsageError: The shape is not `[n, classes]`, there are no photos, or values are not probabilities.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or 0 in p.shape:
        raise UsageError(f"probabilities have shape {p.shape}; expected [n, classes] with n at least 1")
    # a float32 softmax may round to slightly above 1
    if not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1 + 1e-5):
        raise UsageError(f"probabilities range from {p.min():g} to {p.max():g}; they must be 0 to 1, without NaN")
    return np.minimum(p, 1.0)
