"""Complement the test figures, in the same words in the report, in the model card and on the command line.

A handful of test photos proves little, even if all were answered correctly, so other figures are shown next to theirs.
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
    """Accuracy of heads on the frozen trunk, over all photos; each head is tested on photos that it was not fitted on.

    Args:
        fold_top1: Top-1 of each fold, in [0, 1]; at least two.
        top1: Top-1 over all photos, in [0, 1].
        ci95: Wilson 95 % interval of `top1`, with copies and photos of one group counted once. Heads of different folds
            share training photos, so it is slightly too narrow.
        n: Number of photos in all folds.
        ships: Whether the bundle's classifier is such a head. If it was trained further, the figures do not apply.
    """

    fold_top1: tuple[float, ...]
    top1: float
    ci95: tuple[float, float]
    n: int
    ships: bool

    @classmethod
    def of(cls, fold_top1: Sequence[float], correct: int, n: int, units: int, *, ships: bool) -> CrossValidation:
        """Create it from counts.

        Args:
            fold_top1: Top-1 of each fold.
            correct: Number of photos answered correctly.
            n: Number of photos.
            units: Number of photos, with copies and photos of one group counted once.
            ships: Whether such a head ships.
        """
        low, high = wilson_share(correct / n, units)
        return cls(tuple(fold_top1), round(correct / n, 6), (round(low, 6), round(high, 6)), n, ships)

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return mean(self.fold_top1)

    @property
    def spread(self) -> float:
        """Standard deviation between folds."""
        return stdev(self.fold_top1)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object without the folds, which `cross_validation` lists."""
        return {"top1": self.top1, "ci95": list(self.ci95), "n": self.n, "ships": self.ships}


@dataclass(frozen=True)
class SupportingFigures:
    """Figures that complement those on the test photos.

    Args:
        threshold: Threshold for "none of these".
        cross_validation: Cross-validation of the head; None if there was none.
        given_val: Figures on the validation photos, if the user gave a validation split; else None.
    """

    threshold: Threshold
    cross_validation: CrossValidation | None = None
    given_val: Metrics | None = None

    def over_all_photos(self, test_photos: int) -> str:
        """Describe what cross-validation adds to a figure from few test photos; empty if it does not apply."""
        folds = self.cross_validation
        if folds is None or not folds.ships or test_photos >= FEW_TEST_PHOTOS:
            return ""
        return (
            f"That is a small sample: in cross-validation over all {plural(folds.n, 'photo')}, "
            f"{percent(folds.top1)} were right ({about(folds.ci95)})."
        )

    def on_given_val(self) -> str:
        """Describe the figures on a given validation split; empty if there are none."""
        val = self.given_val
        if val is None:
            return ""
        return (
            f"Of your {plural(val.n, 'validation photo')} it gets {val.correct:,} right, {percent(val.top1)} "
            f"(95\xa0% interval {interval(val.ci95)}); choices were based on these photos, so "
            "this is a little too optimistic."
        )

    def notes(self, test_photos: int) -> tuple[str, ...]:
        """Return the notes on the test figure, in plain text."""
        texts = (self.over_all_photos(test_photos), self.on_given_val())
        return tuple(text.replace("\xa0", " ") for text in texts if text)

    def no_threshold(self) -> str:
        """Explain why there is no threshold; empty if there is one."""
        if self.threshold.chosen_on != "none":
            return ""
        return (
            f"there is no “none of these” threshold, so every answer counts as known: a threshold needs "
            f"{LEAST_ANSWERS} photos outside training, and there are {self.threshold.n:,}"
        )


def about(bounds: tuple[float, float]) -> str:
    """Format `(0.9182, 0.9787)` as `about 92 to 98 %`."""
    low, high = (round(100 * bound) for bound in bounds)
    return f"about {low} to {high}\xa0%"
