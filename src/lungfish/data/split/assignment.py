"""Which photo is in which split, and why."""

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
    """Sides of all readable photos.

    Args:
        splits: `train`, `val` or `test` for each record.
        reasons: why, for each record: `given`, `saved`, `content hash`, `in halves`, `with NAME` (a copy, of one group
            or of one scene), or `class needs it`.
        units: int64 `[n]`; photos with one number are copies, of one group or of one scene, and are decided together.
        leaks: copies on different sides, because the sides were given or saved; reported, not moved.
        warnings: what a person should know.
        problems: because of which the job must not go on; none unless they were collected.
    """

    splits: tuple[str, ...]
    reasons: tuple[str, ...]
    units: NDArray[np.int64]
    leaks: tuple[PhotoPair, ...]
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def how(self) -> dict[str, int]:
        """How many photos were `given`, `saved`, decided by `content hash`, and put `with a copy, group or scene`."""
        counted = Counter(HOW.get(reason, TOGETHER) for reason in self.reasons)
        return {how: counted[how] for how in (*dict.fromkeys(HOW.values()), TOGETHER) if counted[how]}
