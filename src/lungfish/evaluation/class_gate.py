"""Implement the gate `--no-class-worse`: find classes on which a new bundle is worse than the old one.

There are two rules, because neither suffices alone. A significance test that rarely fails a class by chance can never
fail a class of four photos, even if all were right before and none is now. A fixed limit on the drop in top-1 can fail
such a class, but too often fails a small class by chance.
"""

from __future__ import annotations

from lungfish.core.names import plural
from lungfish.evaluation.paired import SIGNIFICANT
from lungfish.evaluation.what_changed import ClassChange, WhatChanged
from lungfish.evaluation.what_changed_text import p_value

COLLAPSE = 0.5  # drop in top-1; a class fails above it
LEAST_LOST = 3  # photos that a collapse must lose; classes with fewer photos are not judged


def worse_classes(changed: WhatChanged) -> tuple[ClassChange, ...]:
    """Return the classes that fail the gate.

    A class fails if the exact one-sided McNemar test on its photos, corrected for the number of classes (Holm), shows
    at the 5 % level that it got worse, or if its top-1 fell by more than 50 points and by at least `LEAST_LOST` photos.
    """
    return tuple(row for row in changed.classes if _tested_worse(row) or _collapsed(row))


def unjudged_classes(changed: WhatChanged) -> tuple[ClassChange, ...]:
    """Return the classes that always pass because they have too few photos."""
    return tuple(row for row in changed.classes if row.pairs.n < LEAST_LOST)


def failure(row: ClassChange) -> str:
    """Explain why a class fails, with its figures. The label is not escaped."""
    pairs = row.pairs
    why = f"{p_value(row.p_worse_corrected)}, corrected" if _tested_worse(row) else "top-1 fell by more than 50 points"
    return (
        f"{row.label} is worse: {pairs.new_correct:,} of {plural(pairs.n, 'photo')} right, "
        f"{pairs.old_correct:,} with the baseline ({pairs.only_old:,} lost, {pairs.only_new:,} gained; {why})"
    )


def _tested_worse(row: ClassChange) -> bool:
    return row.p_worse_corrected <= SIGNIFICANT


def _collapsed(row: ClassChange) -> bool:
    lost = row.pairs.only_old - row.pairs.only_new
    return lost >= LEAST_LOST and lost > COLLAPSE * row.pairs.n
