"""Balance a class whose scenes stay whole, so that no split has far too few or far too many of its photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Limits on a split's share of a class, counting only photos that can be assigned freely.
LEAST_SHARE = 0.04
MOST_SHARE = 0.25  # so that of four scenes of equal size, two are in train and one each in val and test
LEAST_TRAIN_SHARE = 0.5


@dataclass
class Piece:
    """A unit of one class.

    Args:
        share: Number in [0, 1) from a content hash, by which the unit was assigned.
        split: Split of the unit.
        unit: Indices of the photos.
    """

    share: float
    split: str
    unit: Sequence[int]

    @property
    def size(self) -> int:
        return len(self.unit)


def fraction(sha256: str) -> float:
    """Return a content hash as a number in [0, 1)."""
    return int(sha256[:12], 16) / 16**12


def even_out_class(pieces: Sequence[Piece], open_splits: Sequence[str]) -> bool:
    """Move as few pieces of one class as necessary between `train` and the other open splits, in place.

    Args:
        pieces: All free units of the class.
        open_splits: `val` or `test` or both.

    Returns:
        Whether every split now has enough photos.
    """
    total = sum(piece.size for piece in pieces)
    least, most = max(1, math.ceil(LEAST_SHARE * total)), MOST_SHARE * total
    ordered = sorted(pieces, key=lambda piece: piece.share)

    def held(split: str) -> int:
        return sum(piece.size for piece in pieces if piece.split == split)

    for split in open_splits:
        for piece in reversed(ordered):
            spare = held(split) - piece.size >= least or piece.size > max(most, least)
            if held(split) > most and piece.split == split and spare:
                piece.split = "train"
    for split in open_splits:
        for piece in ordered:
            fits = piece.size <= max(most - held(split), least)
            spare = held("train") - piece.size >= LEAST_TRAIN_SHARE * total
            if held(split) < least and piece.split == "train" and fits and spare:
                piece.split = split
    return all(held(split) >= least for split in open_splits) and held("train") >= LEAST_TRAIN_SHARE * total
