"""The paired statistics, held against scipy, enumeration, a published example and simulation."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from lungfish.core.errors import UsageError
from lungfish.evaluation.paired import Pairs, count_pairs, holm, mcnemar, mcnemar_worse, paired_interval


def test_photos_are_counted_by_who_is_right():
    old, new = [True, True, False, False, True], [True, False, True, False, True]
    pairs = count_pairs(old, new)
    assert pairs == Pairs(both=2, only_old=1, only_new=1, neither=1)
    assert (pairs.n, pairs.old_correct, pairs.new_correct, pairs.difference) == (5, 3, 3, 0)
    with pytest.raises(UsageError, match="shapes"):
        count_pairs(old, new[:4])


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 0), (5, 0), (6, 0), (3, 8), (8, 3), (40, 40), (700, 800)])
def test_mcnemar_is_the_exact_binomial_test(lost, gained):
    assert mcnemar(lost, gained) == pytest.approx(_scipy(lost, gained, "two-sided"), rel=1e-9)
    assert mcnemar_worse(lost, gained) == pytest.approx(_scipy(lost, gained, "greater"), rel=1e-9)


def _scipy(lost, gained, alternative):
    return binomtest(lost, lost + gained, alternative=alternative).pvalue if lost + gained else 1.0


def test_mcnemar_by_enumeration():
    """Of all ways in which 9 photos that differ can fall, those that are at least as uneven."""
    falls = [sum(ways) for ways in product((0, 1), repeat=9)]
    for lost in range(10):
        uneven = sum(abs(2 * each - 9) >= abs(2 * lost - 9) for each in falls)
        assert mcnemar(lost, 9 - lost) == float(Fraction(uneven, 2**9))
        assert mcnemar_worse(lost, 9 - lost) == float(Fraction(sum(each >= lost for each in falls), 2**9))


def test_interval_of_a_published_example():
    """Cavo et al. 2012, in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8.

    Their R package contingencytables gives -0.0621 (-0.1186 to -0.0046).
    """
    pairs = Pairs(both=59, only_new=6, only_old=16, neither=80)
    assert round(pairs.difference, 4) == -0.0621
    assert [round(bound, 4) for bound in paired_interval(pairs)] == [-0.1186, -0.0046]


def test_interval_is_symmetric_and_never_empty():
    low, high = paired_interval(Pairs(50, 7, 2, 9))
    assert paired_interval(Pairs(50, 2, 7, 9)) == pytest.approx((-high, -low))
    low, high = paired_interval(Pairs(20, 0, 0, 0))  # no photo differs, which does not show that none ever does
    assert low == -high
    assert 0.1 < high < 0.2
    assert paired_interval(Pairs(0, 0, 0, 0)) == (-1, 1)
    assert paired_interval(Pairs(0, 3, 0, 0))[0] == -1


@pytest.mark.parametrize(
    ("n", "only_old", "only_new", "both"),
    [(40, 0.05, 0.10, 0.75), (200, 0.04, 0.02, 0.90), (15, 0.10, 0.10, 0.70), (60, 0.30, 0.05, 0.50)],
)
def test_interval_covers_the_truth(n, only_old, only_new, both):
    """Newcombe reports a mean coverage of 0.95 for his method 10, with minima around 0.92."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(n, [both, only_old, only_new, 1 - both - only_old - only_new], 4000).tolist()
    truth = only_new - only_old
    bounds = {tuple(draw): paired_interval(Pairs(*draw)) for draw in draws}
    covered = np.mean([bounds[tuple(draw)][0] <= truth <= bounds[tuple(draw)][1] for draw in draws])
    assert 0.93 <= covered <= 0.99


def test_holm():
    never = [0.0] * 4
    assert holm([0.01, 0.04, 0.03, 0.005], never) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm's own scheme
    assert holm([0.5, 0.9], never[:2]) == [1.0, 1.0]
    assert holm([], []) == []


def test_tests_that_cannot_come_out_are_not_counted():
    assert holm([0.02, 1.0, 0.5], [0.01, 1.0, 0.25]) == [0.02, 1.0, 1.0]


def test_one_in_twenty_sets_without_a_difference_shows_one_at_most():
    rng = np.random.default_rng(1)
    sets = 1000
    differing = rng.binomial(30, 0.2, (sets, 10))
    lost = rng.binomial(differing, 0.5)
    shown = 0
    for row, m in zip(lost.tolist(), differing.tolist(), strict=True):
        p = [mcnemar(a, b - a) for a, b in zip(row, m, strict=True)]
        shown += min(holm(p, [mcnemar(b, 0) for b in m])) <= 0.05
    assert shown <= binom.ppf(0.999, sets, 0.05)
