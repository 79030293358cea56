"""Compare an old and a new classifier, overall and per class, with a verdict: better, worse or undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.paired import SIGNIFICANT, Pairs, count_pairs, holm, mcnemar, mcnemar_worse

BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"
ELSEWHERE = -1  # index of every class that only one of the two classifiers knows


@dataclass(frozen=True)
class Against:
    """What the new bundle is compared with, and what is left out.

    Args:
        old: Name of the old bundle.
        added: Classes that only the new bundle knows.
        removed: Classes that only the old bundle knows.
        trained_on: Number of photos left out because one of the bundles was trained on them.
        other_classes: Number of photos left out because only one of the bundles knows their class.
        unlisted: Names of the bundles that do not list their training photos.
    """

    old: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    trained_on: int = 0
    other_classes: int = 0
    unlisted: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassChange:
    """The comparison on the photos of one class.

    Args:
        label: Name of the class.
        pairs: Counts of its photos, grouped by which classifier answered them correctly.
        p_corrected: `pairs.p`, corrected for the number of classes.
        p_worse_corrected: `pairs.p_worse`, corrected for the number of classes.
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
        overall: Counts of all photos, grouped by which classifier answered them correctly.
        classes: One row for each shared class, in the new bundle's order; a class may have no photos.
        against: What it is compared with.
        answered_added: Number of photos that the new one classified as a class that only it knows.
        answered_removed: Number of photos that the old one classified as a class that only it knows.
    """

    overall: Pairs
    classes: tuple[ClassChange, ...]
    against: Against
    answered_added: int = 0
    answered_removed: int = 0

    @property
    def verdict(self) -> str:
        """Better, worse or inconclusive, over all photos; a separate, uncorrected test."""
        return _verdict(self.overall, self.overall.p)

    def named(self, verdict: str) -> list[str]:
        """Return the classes with this verdict."""
        return [row.label for row in self.classes if row.verdict == verdict]

    @property
    def macro(self) -> tuple[float, float] | None:
        """Old and new top-1, averaged with equal weights over the classes that have photos."""
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

    An answer with a class that the other classifier does not know counts as wrong, because the photo is of a shared
    class. It is not left out, because users of the new bundle would see such an answer.

    Args:
        shared: Names of the classes that both know.
        truth: int `[n]`, index of the true class in `shared`.
        old, new: int `[n]`, index of the answer in `shared`, or `ELSEWHERE`.
        against: What it is compared with.
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
    """Return the index in `shared` of each class of a bundle, or `ELSEWHERE`; int `[classes]`."""
    index = {label: i for i, label in enumerate(shared)}
    return np.array([index.get(label, ELSEWHERE) for label in labels], np.int64)


def _verdict(pairs: Pairs, p: float) -> str:
    if p > SIGNIFICANT:
        return INCONCLUSIVE
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
