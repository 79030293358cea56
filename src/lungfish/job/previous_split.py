"""Reuse the split of an earlier bundle, so that none of its test photos is ever trained on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lungfish.core.errors import LungfishError
from lungfish.core.names import plural, printable
from lungfish.data.split.photos_csv import SavedSplit, SplitRow, read_split, saved_split
from lungfish.deploy.known_photos import PHOTOS_NAME
from lungfish.job.target import Target
from lungfish.runtime.bundle import load
from lungfish.runtime.manifest import MANIFEST_NAME

NONE = "none"
MOST_BUNDLES = 20  # the newest; older ones are not opened
LEAST_SHARED = 0.5  # share of the smaller set of photos that must be in both, for a bundle of another name


@dataclass(frozen=True)
class Candidates:
    """Bundles whose split may be reused, the newest first.

    Args:
        folders: Folders of the bundles.
        same_name: Folders of bundles that the new bundle replaces, or follows as NAME-2, NAME-3, ...
    """

    folders: tuple[Path, ...] = ()
    same_name: frozenset[Path] = frozenset()


@dataclass(frozen=True)
class PreviousSplit:
    """The split of an earlier bundle.

    Args:
        bundle: Folder of the bundle.
        split: Split that it saved.
        shared: Number of distinct photo contents in both the bundle and the job.
    """

    bundle: Path
    split: SavedSplit
    shared: int


def split_source(split: Path | None, target: Target) -> tuple[Path | None, Candidates]:
    """Return the file whose split the user asks for, or else the bundles that may provide one.

    Args:
        split: The argument of the command: a file, `none` for a new split, or None.
        target: Destination of the new bundle.
    """
    if split is not None:
        return (None if str(split) == NONE else split), Candidates()
    return None, _candidates(target)


def previous_split(candidates: Candidates, contents: Collection[str]) -> tuple[PreviousSplit | None, list[str]]:
    """Choose the bundle that lists the most of these photos; among equals, the newest.

    Bundles that cannot be read are skipped with a warning, and so are those of the same name that were made from other
    photos. Bundles of another name with other photos are skipped silently.

    Args:
        candidates: Bundles from `split_source`.
        contents: SHA-256 of every photo.

    Returns:
        The split to reuse, if any, and warnings.
    """
    current = frozenset(contents)
    best: PreviousSplit | None = None
    warnings: list[str] = []
    for folder in candidates.folders:
        name = printable(folder.name)
        try:
            rows = _rows(folder)
        except LungfishError as error:
            warnings.append(f"the split of {name} is not kept: {printable(error.message)}")
            continue
        known = {row.sha256 for row in rows}
        trains = any(row.split == "train" for row in rows)  # the bundle of an exported network usually has none
        shared = len(known & current) if trains else 0
        same_name = folder in candidates.same_name
        if shared and (same_name or shared >= LEAST_SHARED * min(len(known), len(current))):
            if best is None or shared > best.shared:
                best = PreviousSplit(folder, saved_split(rows, is_automatic=True), shared)
        elif same_name:
            other = "it was made from other photos" if trains else "none of its photos is for training"
            why = other if known else f"it has no {PHOTOS_NAME}"
            warnings.append(f"the split of {name} is not kept: {why}")
    return best, warnings


def kept_in_words(previous: PreviousSplit, photos: int) -> str:
    """Return a message that an earlier split is reused."""
    return (
        f"Keeping the split of {printable(previous.bundle.name)}, which lists {previous.shared:,} of "
        f"{plural(photos, 'photo')} (--split none makes a new one)"
    )


def _rows(folder: Path) -> Sequence[SplitRow]:
    """Return the rows of an untrusted bundle's `photos.csv` that have a split."""
    bundle = load(folder)
    if PHOTOS_NAME not in bundle.manifest.files or not (folder / PHOTOS_NAME).exists():
        return ()
    return [row for row in read_split(folder / PHOTOS_NAME) if row.sha256 and row.split]


def _candidates(target: Target) -> Candidates:
    """Return the bundles in the folder of the new one."""
    same_name = {target.previous} if target.previous else set[Path]()
    if target.replaced:
        same_name.add(target.folder)
    dated: list[tuple[float, Path]] = []
    for folder in _folders(target.folder.parent):
        with contextlib.suppress(OSError):
            dated.append((os.lstat(folder / MANIFEST_NAME).st_mtime, folder))
    newest = [folder for _, folder in sorted(dated, reverse=True)]
    return Candidates(tuple(newest[:MOST_BUNDLES]), frozenset(same_name))


def _folders(parent: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir():
                yield parent / entry.name
