"""The gate of `--no-class-worse`: which classes a new bundle answers worse than the old one.

Two rules, since each alone fails somewhere. A test that chance seldom trips cannot speak of a class of four photos,
even if all were right and none is now; a fixed drop that small classes can show trips by chance where photos are few.
"""

from __future__ import annotations

from lungfish.core.names import plural
from lungfish.evaluation.paired import SIGNIFICANT
from lungfish.evaluation.what_changed import ClassChange, WhatChanged
from lungfish.evaluation.what_changed_text import p_value

COLLAPSE = 0.5  # of top-1
LEAST_LOST = 3  # photos; with fewer, no class is judged


def worse_classes(changed: WhatChanged) -> tuple[ClassChange, ...]:
    """The classes that fail the gate.

    A class fails if the exact one-sided McNemar test on its photos, corrected for the number of classes (Holm), says at
    5 % that it got worse; or if its top-1 fell by more than 50 points, by `LEAST_LOST` photos at least.
    """
    return tuple(row for row in changed.classes if _tested_worse(row) or _collapsed(row))


def unjudged_classes(changed: WhatChanged) -> tuple[ClassChange, ...]:
    """The classes with so few photos that they pass whatever happens."""
    return tuple(row for row in changed.classes if row.pairs.n < LEAST_LOST)


def failure(row: ClassChange) -> str:
    """Why a class fails, with its figures. Its label is as users wrote it."""
    pairs = row.pairs
    why = f"{p_value(row.p_worse_corrected)}, corrected" if _tested_worse(row) else "top-1 fell by more than 50 points"
    return (
        f"{row.label} is worse: {pairs.new_correct:,} of {plural(pairs.n, 'photo')} right, with the baseline "
        f"{pairs.old_correct:,} ({pairs.only_old:,} lost, {pairs.only_new:,} gained; {why})"
    )


def _tested_worse(row: ClassChange) -> bool:
    return row.p_worse_corrected <= SIGNIFICANT


def _collapsed(row: ClassChange) -> bool:
    lost = row.pairs.only_old - row.pairs.only_new
    return lost >= LEAST_LOST and lost > COLLAPSE * row.pairs.n
