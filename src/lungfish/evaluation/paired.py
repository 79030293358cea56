"""Compare two classifiers on the same photos: where they differ, and whether the difference may be due to chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from lungfish.core.errors import UsageError
from lungfish.evaluation.metrics import wilson

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Pairs:
    """Counts of photos, grouped by which of the two classifiers answered them correctly.

    Args:
        both: Photos that the old and the new classifier answered correctly.
        only_old: Photos that only the old one answered correctly.
        only_new: Photos that only the new one answered correctly.
        neither: Photos that neither answered correctly.
    """

    both: int
    only_old: int
    only_new: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.only_old + self.only_new + self.neither

    @property
    def old_correct(self) -> int:
        return self.both + self.only_old

    @property
    def new_correct(self) -> int:
        return self.both + self.only_new

    @property
    def difference(self) -> float:
        """Top-1 of the new classifier minus that of the old one, in [-1, 1]; 0 without photos."""
        return (self.only_new - self.only_old) / max(self.n, 1)

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % interval of `difference`; (-1, 1) without photos."""
        return paired_interval(self)

    @property
    def p(self) -> float:
        """Exact two-sided p-value of the null hypothesis that both are equally good."""
        return mcnemar(self.only_old, self.only_new)

    @property
    def p_worse(self) -> float:
        """Exact one-sided p-value of the null hypothesis that the new one is no worse."""
        return mcnemar_worse(self.only_old, self.only_new)


def count_pairs(old_correct: ArrayLike, new_correct: ArrayLike) -> Pairs:
    """Count photos, grouped by which classifier answered them correctly.

    Args:
        old_correct, new_correct: bool `[n]`, for the same photos in the same order.

    Raises:
        UsageError: The shapes differ.
    """
    old, new = np.asarray(old_correct, bool), np.asarray(new_correct, bool)
    if old.shape != new.shape or old.ndim != 1:
        raise UsageError(f"cannot pair answers of shapes {old.shape} and {new.shape}; give one answer for each photo")
    return Pairs(*(int(part.sum()) for part in (old & new, old & ~new, ~old & new, ~old & ~new)))


def mcnemar(only_old: int, only_new: int) -> float:
    """Return the p-value of the exact McNemar test: the chance that the differing photos divide at least this unevenly.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution instead of its approximation.
    """
    return min(1.0, 2 * _binomial_tail(min(only_old, only_new), only_old + only_new))


def mcnemar_worse(only_old: int, only_new: int) -> float:
    """Return the one-sided p-value: the chance that the new classifier loses at least this many photos."""
    return _binomial_tail(only_new, only_old + only_new)


def _binomial_tail(most: int, n: int) -> float:
    """Return P(X <= `most`) for X heads in `n` fair coin flips, in exact integers: the base install has no scipy."""
    term = total = 1
    for i in range(most):
        term = term * (n - i) // (i + 1)
        total += term
    return float(Fraction(total, 2**n))


def paired_interval(pairs: Pairs) -> tuple[float, float]:
    """Return the 95 % score interval of a paired difference of shares; (-1, 1) without photos.

    Its width is never 0. Intervals based only on the differing photos have width 0 if no photo differs.

    Source: Method 10 in Newcombe, Improved confidence intervals for the difference between binomial proportions based
        on paired data, Statistics in Medicine 17 (1998), 2635-2650: Wilson intervals of both shares, squared and added
        with the correlation of the pairs.
    """
    n = pairs.n
    if n == 0:
        return (-1.0, 1.0)
    new, old = pairs.new_correct / n, pairs.old_correct / n
    (new_low, new_high), (old_low, old_high) = wilson(pairs.new_correct, n), wilson(pairs.old_correct, n)
    phi, difference = _correlation(pairs), pairs.difference

    def distance(a: float, b: float) -> float:
        return sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))

    low = difference - distance(new - new_low, old_high - old)
    high = difference + distance(new_high - new, old - old_low)
    return (max(low, -1.0), min(high, 1.0))


def _correlation(pairs: Pairs) -> float:
    """Return phi of the two classifiers' answers, corrected for continuity."""
    n, right = pairs.n, pairs.new_correct * pairs.old_correct
    margins = right * (n - pairs.new_correct) * (n - pairs.old_correct)
    if margins == 0:
        return 0.0
    excess = pairs.both * pairs.neither - pairs.only_old * pairs.only_new
    return (max(excess - n / 2, 0.0) if excess > 0 else float(excess)) / sqrt(margins)


def holm(p_values: Sequence[float], smallest: Sequence[float]) -> list[float]:
    """Correct p-values for multiple testing: if nothing differs, at most 5 % of families of tests find a difference.

    A test that could not have been significant for any outcome is not counted, because it adds no risk.

    Args:
        p_values: P-values of the individual tests.
        smallest: Smallest p-value that each test could have had.

    Returns:
        Corrected p-values in the same order; 1.0 for tests that are not counted.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979); tests not counted: Tarone, Biometrics 46 (1990).
    """
    corrected = [1.0] * len(p_values)
    counted = sorted((p, i) for i, p in enumerate(p_values) if smallest[i] <= SIGNIFICANT)
    reached = 0.0
    for rank, (p, i) in enumerate(counted):
        reached = max(reached, min(1.0, (len(counted) - rank) * p))
        corrected[i] = reached
    return corrected
