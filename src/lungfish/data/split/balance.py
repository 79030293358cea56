"""Shares of a class that is divided by whole scenes: neither far too few nor far too many photos in a split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Of the photos of a class that are free to be divided.
LEAST_SHARE = 0.04
MOST_SHARE = 0.25  # four scenes of one size are enough: two train
LEAST_TRAIN_SHARE = 0.5


@dataclass
class Piece:
    """A unit of one class.

    Args:
        share: The number in [0, 1) by which it was divided, from a content hash.
        split: Where it is.
        unit: Indices of the photos.
    """

    share: float
    split: str
    unit: Sequence[int]

    @property
    def size(self) -> int:
        return len(self.unit)


def fraction(sha256: str) -> float:
    """A content hash as a number in [0, 1)."""
    return int(sha256[:12], 16) / 16**12


def even_out_class(pieces: Sequence[Piece], open_splits: Sequence[str]) -> bool:
    """Move pieces of one class between `train` and the other open splits, as few as are needed; in place.

    Args:
        pieces: All free units of the class.
        open_splits: `val` or `test` or both.

    Returns:
        Whether every split has enough photos now.
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
