"""Answer "none of these": below a threshold on the top probability, a photo gets no label.

The threshold is chosen on validation photos and measured on test photos. With few photos it is chosen on the answers of
a cross-validation, or there is none, because a threshold from a dozen answers may reject every correct one. It rejects
answers that the classifier is unsure of. It does not recognize the unseen: a photo of something entirely different may
still score high.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import floor
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from lungfish.core.errors import UsageError
from lungfish.evaluation.answers import top_answers

KEEP = 0.95
HIGHEST = 0.99  # above it, rounding decides what is accepted
# With fewer correct validation answers the 5 % quantile cannot be located, and the rule keeps all of them.
ENOUGH = 20
LEAST_ANSWERS = 50  # right or wrong; fewer cannot support any threshold
GRID = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Threshold:
    """A rejection threshold and what it was chosen on.

    Args:
        value: Minimum probability of an accepted answer, in [0, 1].
        keep: Share of correct answers that had to stay accepted.
        correct: Number of correctly answered photos that `value` was chosen from.
        kept: How many of them stay accepted.
        n: Number of answered photos, correct or not.
        chosen_on: `validation`: the validation split; `cross-validation`: all photos, each answered by a head that was
            fitted without it; `none`: too few photos, every answer is accepted.
    """

    value: float
    keep: float
    correct: int
    kept: int
    n: int
    chosen_on: Literal["validation", "cross-validation", "none"] = "validation"

    @property
    def is_rough(self) -> bool:
        """Whether there were too few correct answers for a precise threshold."""
        return self.chosen_on != "none" and self.correct < ENOUGH

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class CoverageRow:
    """The effect of a threshold on labelled photos.

    Args:
        threshold: Answers below it are rejected.
        coverage: Share of photos whose answer is accepted.
        accuracy: Share of the accepted answers that are correct; None if none is accepted.
        n: Number of photos with an accepted answer.
        chosen: Whether this is the bundle's threshold.
    """

    threshold: float
    coverage: float
    accuracy: float | None
    n: int
    chosen: bool

    def to_json(self) -> dict[str, Any]:
        accuracy = None if self.accuracy is None else round(self.accuracy, 6)
        return {**asdict(self), "coverage": round(self.coverage, 6), "accuracy": accuracy}


@dataclass(frozen=True, eq=False)
class LabelledAnswers:
    """Answers to photos that were not trained on: float `[n, classes]`, and the true classes, int `[n]`."""

    probabilities: ArrayLike
    truth: ArrayLike

    @property
    def n(self) -> int:
        return len(np.asarray(self.truth))


def choose_supported(val: LabelledAnswers, cross_validated: LabelledAnswers | None, keep: float = KEEP) -> Threshold:
    """Choose a threshold from the first source with enough answers: validation, else cross-validation, else none.

    Args:
        val: The artifact's answers to validation photos.
        cross_validated: Answers to all photos, by classifiers like the one that ships; None if there are none.
        keep: Share of the correct answers to keep, in (0, 1].

    Raises:
        UsageError: As `choose_threshold`.
    """
    if val.n >= LEAST_ANSWERS:
        return choose_threshold(val.probabilities, val.truth, keep)
    if cross_validated is not None and cross_validated.n >= LEAST_ANSWERS:
        chosen = choose_threshold(cross_validated.probabilities, cross_validated.truth, keep)
        return replace(chosen, chosen_on="cross-validation")
    n = max(val.n, cross_validated.n if cross_validated is not None else 0)
    return Threshold(0.0, keep, 0, 0, n, chosen_on="none")


def choose_threshold(probabilities: ArrayLike, truth: ArrayLike, keep: float = KEEP) -> Threshold:
    """Return the highest threshold, up to 0.99 in steps of 0.0001, that keeps the share `keep` of the correct answers.

    With fewer than 20 correct answers all of them are kept (at `keep` = 0.95); without any the threshold is 0.

    Args:
        probabilities: float `[n, classes]` on photos that were not trained on.
        truth: int `[n]`.
        keep: Share of the correct answers to keep, in (0, 1].

    Raises:
        UsageError: As `top_answers`, or `keep` is out of range.
    """
    if not 0 < keep <= 1:
        raise UsageError(f"keep is {keep}; it must be above 0 and at most 1")
    answers = top_answers(probabilities, truth)
    confidence = np.sort(answers.confidence[answers.correct])
    n = len(confidence)
    if n == 0:
        return Threshold(0.0, keep, 0, 0, len(answers.correct))
    spared = floor(n * (1 - keep) + 1e-9)
    # rounded down, so that the photo that determines the threshold is kept
    value = min(floor(confidence[spared] * 1e4) / 1e4, HIGHEST)
    return Threshold(value, keep, n, int((confidence >= value).sum()), len(answers.correct))


def coverage_table(probabilities: ArrayLike, truth: ArrayLike, chosen: float) -> tuple[CoverageRow, ...]:
    """Return coverage and accuracy at `chosen` and at the thresholds of `GRID`, in increasing order.

    Args:
        probabilities: float `[n, classes]` on test photos.
        truth: int `[n]`.
        chosen: The bundle's threshold.

    Raises:
        UsageError: As `top_answers`.
    """
    answers = top_answers(probabilities, truth)
    rows = []
    for threshold in sorted({*GRID, chosen}):
        accepted = answers.confidence >= threshold
        n = int(accepted.sum())
        accuracy = float(answers.correct[accepted].mean()) if n else None
        rows.append(CoverageRow(threshold, n / len(accepted), accuracy, n, threshold == chosen))
    return tuple(rows)
