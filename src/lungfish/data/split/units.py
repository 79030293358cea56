"""Find photos that must stay in one split: copies, photos of one group, photos of one scene."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.data.scan.examined import Record
from lungfish.data.scan.near_duplicates import NearDuplicates, join
from lungfish.data.scan.sequences import natural_key
from lungfish.data.split.review import group_ties


@dataclass(frozen=True, eq=False)
class Units:
    """Photos that are assigned together.

    Args:
        members: Indices of each unit, sorted by name (`a9` before `a10`).
        levels: int64 `[n]` each, from the tightest to the loosest tie. Photos with the same number are linked by copies
            at the first level, by copies or groups at the second, and by copies, groups or scenes at the third.
    """

    members: tuple[list[int], ...]
    levels: tuple[NDArray[np.int64], ...]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Unit of each photo, int64 `[n]`."""
        numbers = np.empty(len(self.levels[0]), np.int64)
        for number, unit in enumerate(self.members):
            numbers[unit] = number
        return numbers

    @property
    def in_scenes(self) -> NDArray[np.int64]:
        """Indices of photos that only a scene ties to the lowest-indexed photo of their unit."""
        return np.flatnonzero(self.levels[-1] != self.levels[-2])

    def partners(self, i: int, others: Sequence[int]) -> tuple[list[int], bool]:
        """Return those of `others`, photos of the same unit, that have the tightest tie to a photo.

        Returns:
            Their indices, and whether the tie is only a scene.
        """
        for number, level in enumerate(self.levels):
            tied = [j for j in others if level[j] == level[i]]
            if tied:
                return tied, number == len(self.levels) - 1
        raise AssertionError("photos of another unit")


def units_of(records: Sequence[Record], copies: NearDuplicates, scene_pairs: NDArray[np.int64]) -> Units:
    """Return the units; without `scene_pairs`, by copies and groups only."""
    ties = np.concatenate([copies.pairs, group_ties(records)])
    levels = [join(len(records), pairs) for pairs in (copies.pairs, ties, np.concatenate([ties, scene_pairs]))]
    members: dict[int, list[int]] = defaultdict(list)
    for i, unit in enumerate(levels[-1].tolist()):
        members[unit].append(i)
    for unit in members.values():
        if len(unit) > 1:
            unit.sort(key=lambda i: natural_key(records[i].photo.name))
    return Units(tuple(members.values()), tuple(levels))


def most_common_split(splits: Sequence[str]) -> str:
    """Return the most common split; the first one in a tie."""
    return Counter(splits).most_common(1)[0][0]
