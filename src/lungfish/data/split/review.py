"""Review splits that were given or saved: ties across splits, contradictory labels, missing classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.core.names import plural, printable
from lungfish.data.photos import SPLITS
from lungfish.data.scan.examined import Record
from lungfish.data.scan.near_duplicates import NearDuplicates
from lungfish.data.split.photos_csv import SavedSplit

PAIRS_SHOWN = 5
NAMES_SHOWN = 10
FEW_SAVED = 0.5  # share of the photos below which the saved split probably belongs to another folder


@dataclass(frozen=True)
class PhotoPair:
    """Two photos that show the same thing, as listed in the report.

    Args:
        file: Name of the first photo, relative to the source.
        split: `train`, `val` or `test`, of the first photo.
        copy: Name of the second photo.
        copy_split: Split of the second photo.
        exact: Whether the files are identical.
    """

    file: str
    split: str
    copy: str
    copy_split: str
    exact: bool = False

    @property
    def leaks(self) -> bool:
        """Whether the photos are in different splits, which makes the figures too optimistic."""
        return self.split != self.copy_split


def photo_pairs(records: Sequence[Record], copies: NearDuplicates, splits: Sequence[str]) -> tuple[PhotoPair, ...]:
    """Return all pairs of copies."""
    return tuple(
        PhotoPair(
            records[a].photo.name,
            splits[a],
            records[b].photo.name,
            splits[b],
            records[a].seen.sha256 == records[b].seen.sha256,
        )
        for a, b in copies.pairs.tolist()
    )


def leak_warnings(leaks: Sequence[PhotoPair]) -> list[str]:
    """Return at most one warning: how many copies are in two splits, and the first of them."""
    return _across_warning("copies", [(leak.file, leak.split, leak.copy, leak.copy_split) for leak in leaks])


def group_warnings(records: Sequence[Record], ties: NDArray[np.int64], splits: Sequence[str]) -> list[str]:
    """Return at most one warning: how many photos are in another split than the first of their group.

    Args:
        records: All photos.
        ties: Pairs from `group_ties`.
        splits: Split of each photo.
    """
    across = [(records[a].photo.name, splits[a], records[b].photo.name, splits[b]) for a, b in _across(ties, splits)]
    return _across_warning("photos of one group", across)


def group_ties(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return pairs of a group's first photo with each of the others, int64 `[m, 2]`."""
    first: dict[str, int] = {}
    pairs = [(first.setdefault(r.photo.group, i), i) for i, r in enumerate(records) if r.photo.group is not None]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], np.int64).reshape(-1, 2)


def label_warnings(records: Sequence[Record], labels: Sequence[str], copies: NearDuplicates) -> list[str]:
    """Return at most one warning: how many copies are in two classes, and the first of them."""
    pairs = [
        (records[a].photo, records[b].photo)
        for a, b in copies.pairs.tolist()
        if records[a].photo.label != records[b].photo.label
    ]
    if not pairs:
        return []
    shown = "; ".join(
        f"{printable(a.name)} ({printable(labels[a.label])}) and {printable(b.name)} ({printable(labels[b.label])})"
        for a, b in pairs[:PAIRS_SHOWN]
    )
    return [f"{plural(len(pairs), 'pair')} of copies in two classes: {shown}"]


def missing_warnings(
    records: Sequence[Record], labels: Sequence[str], splits: Sequence[str], concerned: Collection[str] = ()
) -> list[str]:
    """Return a warning for each split that lacks some of the classes.

    Args:
        records: All photos.
        labels: Class names.
        splits: Split of each photo.
        concerned: Names of classes that need no such warning.
    """
    warnings = []
    present = {record.photo.label for record in records if labels[record.photo.label] not in concerned}
    for wanted in SPLITS:
        there = {record.photo.label for record, split in zip(records, splits, strict=True) if split == wanted}
        missing = present - there
        if missing:
            warnings.append(f"no {wanted} photos of {shown_names(labels, missing)}")
    return warnings


def scene_warnings(
    records: Sequence[Record], pairs: NDArray[np.int64], copies: NearDuplicates, splits: Sequence[str]
) -> list[str]:
    """Return at most one warning: how many photos are in another split than the first of their scene.

    Photos with a copy in that split are left out, as `leak_warnings` covers them.
    """
    splits_of: dict[int, set[str]] = defaultdict(set)
    for group, split in zip(copies.groups.tolist(), splits, strict=True):
        splits_of[group].add(split)
    across = [
        (records[a].photo.name, splits[a], records[b].photo.name, splits[b])
        for a, b in _across(pairs, splits)
        if splits[b] not in splits_of[int(copies.groups[a])] and splits[a] not in splits_of[int(copies.groups[b])]
    ]
    return _across_warning("photos of one scene", across)


def bridge_warnings(bridges: Sequence[tuple[str, str]]) -> list[str]:
    """Return at most one warning: new photos of scenes that are already in two splits, and the split they join."""
    if not bridges:
        return []
    shown = "; ".join(f"{printable(name)} (joins {split})" for name, split in bridges[:PAIRS_SHOWN])
    what = plural(len(bridges), "new photo belongs", "new photos belong")
    return [f"{what} to a scene whose photos are in two splits; nothing was moved: {shown}"]


def divided_warnings(labels: Sequence[str], divided: Collection[int]) -> list[str]:
    """Return at most one warning: the classes whose scenes are in several splits."""
    if not divided:
        return []
    shown = shown_names(labels, divided)
    return [
        f"too few scenes to keep each in one split: {shown}; scenes were divided, so the figures are too optimistic"
    ]


def saved_warnings(
    records: Sequence[Record], splits: Sequence[str], reasons: Sequence[str], saved: SavedSplit
) -> list[str]:
    """Return at most one warning: a saved split lists other photos, or was overridden by the split of these photos."""
    if saved.is_automatic:
        trained = [
            record.photo.name
            for record, split in zip(records, splits, strict=True)
            if split == "train" and saved.split(record.seen.sha256, record.photo.name) == "test"
        ]
        if not trained:
            return []
        shown = ", ".join(map(printable, trained[:PAIRS_SHOWN]))
        what = plural(
            len(trained),
            "test photo of the previous bundle is a training photo",
            "test photos of the previous bundle are training photos",
        )
        return [f"{what} now, according to the given split: {shown}"]
    count = reasons.count("saved")
    if count >= FEW_SAVED * len(reasons):
        return []
    photos = plural(len(reasons), "photo")
    return [f"the saved split lists {f'{count:,}' if count else 'none'} of {photos}; photos not listed get a new split"]


def shown_names(labels: Sequence[str], indices: Collection[int]) -> str:
    """Return the first class names of a set as text."""
    shown = ", ".join(printable(labels[i]) for i in sorted(indices)[:NAMES_SHOWN])
    return shown if len(indices) <= NAMES_SHOWN else f"{shown} and {len(indices) - NAMES_SHOWN} more"


def _across(pairs: NDArray[np.int64], splits: Sequence[str]) -> list[tuple[int, int]]:
    return [(a, b) for a, b in pairs.tolist() if splits[a] != splits[b]]


def _across_warning(what: str, across: Sequence[tuple[str, str, str, str]]) -> list[str]:
    if not across:
        return []
    shown = "; ".join(
        f"{printable(a)} ({a_split}) and {printable(b)} ({b_split})" for a, a_split, b, b_split in across[:PAIRS_SHOWN]
    )
    verb = "is" if len(across) == 1 else "are"
    pairs = f"{plural(len(across), 'pair')} of {what} {verb} in different splits"
    return [f"{pairs}, so the figures are too optimistic: {shown}"]
