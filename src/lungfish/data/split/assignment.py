"""The split of each photo, and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.data.split.problems import Problem
from lungfish.data.split.review import PhotoPair

HALVES = "in halves"
HOW = {
    "given": "given",
    "saved": "saved",
    "content hash": "content hash",
    "class needs it": "content hash",
    HALVES: HALVES,
}
TOGETHER = "with a copy, group or scene"


@dataclass(frozen=True, eq=False)
class Assignment:
    """Splits of all readable photos.

    Args:
        splits: `train`, `val` or `test` for each record.
        reasons: Reason for each record: `given`, `saved`, `content hash`, `in halves`, `with NAME` (a copy, or a
            photo of the same group or scene), or `class needs it`.
        units: int64 `[n]`; photos with the same number are tied by copies, groups or scenes, and assigned together.
        leaks: Copies in different splits, because the splits were given or saved; reported, not moved.
        warnings: Warnings for the user.
        problems: Problems that must stop the job; empty unless they were collected.
    """

    splits: tuple[str, ...]
    reasons: tuple[str, ...]
    units: NDArray[np.int64]
    leaks: tuple[PhotoPair, ...]
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def how(self) -> dict[str, int]:
        """Number of photos assigned in each way: `given`, `saved`, `content hash`, `with a copy, group or scene`."""
        counted = Counter(HOW.get(reason, TOGETHER) for reason in self.reasons)
        return {how: counted[how] for how in (*dict.fromkeys(HOW.values()), TOGETHER) if counted[how]}
