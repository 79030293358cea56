"""Two classifiers on the same photos: what they share, what differs, and whether the difference may be chance."""

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
    """Photos by who answered them correctly.

    Args:
        both: photos that the old and the new classifier answered correctly.
        only_old: photos that only the old one did.
        only_new: photos that only the new one did.
        neither: photos that none did.
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
        """Top-1 of the new one minus that of the old one, in [-1, 1]; 0 without photos."""
        return (self.only_new - self.only_old) / max(self.n, 1)

    @property
    def ci95(self) -> tuple[float, float]:
        """The 95 % interval of `difference`; (-1, 1) without photos."""
        return paired_interval(self)

    @property
    def p(self) -> float:
        """The exact two-sided p-value of "both are equally good"."""
        return mcnemar(self.only_old, self.only_new)

    @property
    def p_worse(self) -> float:
        """The exact one-sided p-value of "the new one is no worse"."""
        return mcnemar_worse(self.only_old, self.only_new)


def count_pairs(old_correct: ArrayLike, new_correct: ArrayLike) -> Pairs:
    """Count photos by who answered them correctly.

    Args:
        old_correct, new_correct: bool `[n]`, for the same photos in the same order.

    Raises:
        UsageError: the shapes differ.
    """
    old, new = np.asarray(old_correct, bool), np.asarray(new_correct, bool)
    if old.shape != new.shape or old.ndim != 1:
        raise UsageError(f"cannot pair answers of shapes {old.shape} and {new.shape}; give one for each photo")
    return Pairs(*(int(part.sum()) for part in (old & new, old & ~new, ~old & new, ~old & ~new)))


def mcnemar(only_old: int, only_new: int) -> float:
    """The exact McNemar test: how probable a split of the photos that differ at least this uneven is by chance.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution in place of its approximation.
    """
    return min(1.0, 2 * _binomial_tail(min(only_old, only_new), only_old + only_new))


def mcnemar_worse(only_old: int, only_new: int) -> float:
    """As `mcnemar`, one-sided: how probable it is by chance that the new one loses at least this many."""
    return _binomial_tail(only_new, only_old + only_new)


def _binomial_tail(most: int, n: int) -> float:
    """P(X <= `most`) of X heads in `n` throws of a fair coin, in exact integers: the base install has no scipy."""
    term = total = 1
    for i in range(most):
        term = term * (n - i) // (i + 1)
        total += term
    return float(Fraction(total, 2**n))


def paired_interval(pairs: Pairs) -> tuple[float, float]:
    """The 95 % score interval of a paired difference of shares; (-1, 1) without photos.

    It never has the width 0, as intervals on the photos that differ alone do where none differs.

    Source: method 10 in Newcombe, Improved confidence intervals for the difference between binomial proportions based
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
    """Phi of the two classifiers' answers, corrected for continuity."""
    n, right = pairs.n, pairs.new_correct * pairs.old_correct
    margins = right * (n - pairs.new_correct) * (n - pairs.old_correct)
    if margins == 0:
        return 0.0
    excess = pairs.both * pairs.neither - pairs.only_old * pairs.only_new
    return (max(excess - n / 2, 0.0) if excess > 0 else float(excess)) / sqrt(margins)


def holm(p_values: Sequence[float], smallest: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that with no true difference one in twenty sets at most shows any.

    A test that could not come out significant whichever way its photos had fallen is not counted: it adds no risk.

    Args:
        p_values: of the single tests.
        smallest: the smallest p-value that each test could have had.

    Returns:
        In the same order; 1.0 for tests that are not counted.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979); tests not counted: Tarone, Biometrics 46 (1990).
    """
    corrected = [1.0] * len(p_values)
    counted = sorted((p, i) for i, p in enumerate(p_values) if smallest[i] <= SIGNIFICANT)
    reached = 0.0
    for rank, (p, i) in enumerate(counted):
        reached = max(reached, min(1.0, (len(counted) - rank) * p))
        corrected[i] = reached
    return corrected
