"""What stands beside the test figure: the same sentences in the report, the model card and on the command line.

A handful of test photos says little, even if all were answered correctly. What is known besides is said next to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from lungfish.core.names import plural
from lungfish.evaluation.metrics import Metrics, wilson_share
from lungfish.evaluation.rejection import LEAST_ANSWERS, Threshold
from lungfish.evaluation.wording import interval, percent

FEW_TEST_PHOTOS = 300


@dataclass(frozen=True)
class CrossValidation:
    """How often heads on the frozen trunk are right on photos that they were not fitted on, over all photos.

    Args:
        fold_top1: top-1 of each fold, in [0, 1]; at least two.
        top1: over all photos, in [0, 1].
        ci95: Wilson 95 % interval of `top1`, where copies and photos of one group count once. Heads of different folds
            share photos that they learned from, so it is a little too narrow.
        n: photos in all folds together.
        ships: whether what ships is such a head. Of a network that was trained further it says nothing.
    """

    fold_top1: tuple[float, ...]
    top1: float
    ci95: tuple[float, float]
    n: int
    ships: bool

    @classmethod
    def of(cls, fold_top1: Sequence[float], correct: int, n: int, units: int, *, ships: bool) -> CrossValidation:
        """From counts.

        Args:
            fold_top1: top-1 of each fold.
            correct: photos answered correctly.
            n: photos.
            units: photos where copies and photos of one group count once.
            ships: see above.
        """
        low, high = wilson_share(correct / n, units)
        return cls(tuple(fold_top1), round(correct / n, 6), (round(low, 6), round(high, 6)), n, ships)

    @property
    def mean(self) -> float:
        """Of the folds."""
        return mean(self.fold_top1)

    @property
    def spread(self) -> float:
        """Standard deviation between folds."""
        return stdev(self.fold_top1)

    def to_json(self) -> dict[str, Any]:
        """Without the folds, which `cross_validation` lists."""
        return {"top1": self.top1, "ci95": list(self.ci95), "n": self.n, "ships": self.ships}


@dataclass(frozen=True)
class SupportingFigures:
    """What is known beside the figures on the test photos.

    Args:
        threshold: for "none of these".
        cross_validation: of the head; None if there was none.
        given_val: on the validation photos, if whoever gave the photos had set them apart; else None.
    """

    threshold: Threshold
    cross_validation: CrossValidation | None = None
    given_val: Metrics | None = None

    def over_all_photos(self, test_photos: int) -> str:
        """What cross-validation adds to the figure of few test photos; empty if it says nothing of what ships."""
        folds = self.cross_validation
        if folds is None or not folds.ships or test_photos >= FEW_TEST_PHOTOS:
            return ""
        return (
            f"That is few: in cross-validation over all {plural(folds.n, 'photo')}, {percent(folds.top1)} were right "
            f"({about(folds.ci95)})."
        )

    def on_given_val(self) -> str:
        """How it does on validation photos that the user has set apart; empty if there are none."""
        val = self.given_val
        if val is None:
            return ""
        return (
            f"Of your {plural(val.n, 'validation photo')} it gets {val.correct:,} right, {percent(val.top1)} "
            f"(95\xa0% interval {interval(val.ci95)}); choices were made on them, so this is a little too optimistic."
        )

    def notes(self, test_photos: int) -> tuple[str, ...]:
        """What is to be read with the test figure, in plain text."""
        told = (self.over_all_photos(test_photos), self.on_given_val())
        return tuple(text.replace("\xa0", " ") for text in told if text)

    def no_threshold(self) -> str:
        """Why no answer is held back; empty if there is a threshold."""
        if self.threshold.chosen_on != "none":
            return ""
        return (
            f"there is no “none of these” threshold, so every answer counts as known: it needs {LEAST_ANSWERS} photos "
            f"outside training, and there are {self.threshold.n:,}"
        )


def about(bounds: tuple[float, float]) -> str:
    """`(0.9182, 0.9787)` as `about 92 to 98 %`."""
    low, high = (round(100 * bound) for bound in bounds)
    return f"about {low} to {high}\xa0%"
