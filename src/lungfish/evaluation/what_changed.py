"""What changed from an old classifier to a new one: better, worse or cannot tell, overall and by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.paired import SIGNIFICANT, Pairs, count_pairs, holm, mcnemar, mcnemar_worse

BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"
ELSEWHERE = -1  # the index of every class that only one of the two knows


@dataclass(frozen=True)
class Against:
    """What the new bundle is compared with, and what takes no part.

    Args:
        old: name of the old bundle.
        added: classes that only the new bundle knows.
        removed: classes that only the old bundle knows.
        trained_on: photos left out because one of the bundles was trained on them.
        other_classes: photos left out because only one of the bundles knows their class.
        unlisted: names of the bundles that do not list the photos they were trained on.
    """

    old: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    trained_on: int = 0
    other_classes: int = 0
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassChange:
    """The photos of one class.

    Args:
        label: its name.
        pairs: its photos by who answered them correctly.
        p_corrected: of `pairs.p`, corrected for the number of classes.
        p_worse_corrected: of `pairs.p_worse`, corrected for the number of classes.
    """

    label: str
    pairs: Pairs
    p_corrected: float
    p_worse_corrected: float

    @property
    def verdict(self) -> str:
        return _verdict(self.pairs, self.p_corrected)

    def to_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            **_figures(self.pairs),
            "p_corrected": _rounded(self.p_corrected),
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class WhatChanged:
    """An old and a new classifier on the same photos, which neither was trained on.

    Args:
        overall: all photos by who answered them correctly.
        classes: one row for each shared class, in the new bundle's order; a class may have no photos.
        against: what it is compared with.
        answered_added: photos that the new one took for a class which only it knows.
        answered_removed: photos that the old one took for a class which only it knows.
    """

    overall: Pairs
    classes: tuple[ClassChange, ...]
    against: Against
    answered_added: int = 0
    answered_removed: int = 0

    @property
    def verdict(self) -> str:
        """Better, worse or cannot tell, over all photos; a test of its own, not corrected."""
        return _verdict(self.overall, self.overall.p)

    def named(self, verdict: str) -> list[str]:
        """The classes of a verdict."""
        return [row.label for row in self.classes if row.verdict == verdict]

    @property
    def macro(self) -> tuple[float, float] | None:
        """The old and the new top-1 averaged over the classes that have photos, each weighing the same."""
        pairs = [row.pairs for row in self.classes if row.pairs.n]
        if not pairs:
            return None
        old, new = np.mean([(each.old_correct / each.n, each.new_correct / each.n) for each in pairs], axis=0).tolist()
        return old, new

    def to_json(self) -> dict[str, Any]:
        against, macro = self.against, self.macro
        return {
            "old": against.old,
            "overall": {**_figures(self.overall), "verdict": self.verdict},
            "macro": {"old_top1": _rounded(macro[0]), "new_top1": _rounded(macro[1])} if macro else None,
            "classes": [row.to_json() for row in self.classes],
            "added": list(against.added),
            "removed": list(against.removed),
            "answered_added": self.answered_added,
            "answered_removed": self.answered_removed,
            "left_out": {"trained_on": against.trained_on, "other_classes": against.other_classes},
            "unlisted": list(against.unlisted),
        }


def what_changed(
    shared: Sequence[str], truth: NDArray[np.int64], old: NDArray[np.int64], new: NDArray[np.int64], against: Against
) -> WhatChanged:
    """Compare two classifiers photo by photo.

    An answer that names a class which the other classifier does not know is wrong here, since the photo is of a shared
    class: a user of the new bundle would see it.

    Args:
        shared: names of the classes that both know.
        truth: int `[n]`, index of the true class in `shared`.
        old, new: int `[n]`, index of the answer in `shared`, or `ELSEWHERE`.
        against: what it is compared with.
    """
    old_correct, new_correct = old == truth, new == truth
    pairs = [count_pairs(old_correct[truth == i], new_correct[truth == i]) for i in range(len(shared))]
    differing = [each.only_old + each.only_new for each in pairs]
    p = holm([each.p for each in pairs], [mcnemar(count, 0) for count in differing])
    p_worse = holm([each.p_worse for each in pairs], [mcnemar_worse(count, 0) for count in differing])
    return WhatChanged(
        overall=count_pairs(old_correct, new_correct),
        classes=tuple(ClassChange(*row) for row in zip(shared, pairs, p, p_worse, strict=True)),
        against=against,
        answered_added=int((new == ELSEWHERE).sum()),
        answered_removed=int((old == ELSEWHERE).sum()),
    )


def shared_index(labels: Sequence[str], shared: Sequence[str]) -> NDArray[np.int64]:
    """The index in `shared` of each class of a bundle, or `ELSEWHERE`; int `[classes]`."""
    index = {label: i for i, label in enumerate(shared)}
    return np.array([index.get(label, ELSEWHERE) for label in labels], np.int64)


def _verdict(pairs: Pairs, p: float) -> str:
    if p > SIGNIFICANT:
        return CANNOT_TELL
    return BETTER if pairs.only_new > pairs.only_old else WORSE


def _figures(pairs: Pairs) -> dict[str, Any]:
    n = pairs.n
    return {
        "n": n,
        "both_right": pairs.both,
        "only_old_right": pairs.only_old,
        "only_new_right": pairs.only_new,
        "both_wrong": pairs.neither,
        "old_top1": _rounded(pairs.old_correct / n) if n else None,
        "new_top1": _rounded(pairs.new_correct / n) if n else None,
        "difference": _rounded(pairs.difference) if n else None,
        "ci95": [_rounded(bound) for bound in pairs.ci95] if n else None,
        "p": _rounded(pairs.p),
    }


def _rounded(value: float) -> float:
    return round(value, 6)
