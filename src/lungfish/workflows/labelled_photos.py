"""Open labelled photos for measuring bundles: list them, check their class names, and choose a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lungfish.core.errors import PhotosError, UsageError
from lungfish.core.names import choose, printable
from lungfish.core.progress import Progress
from lungfish.data.photos import SPLITS, Photo, PhotoSet
from lungfish.data.sources import OneClassError, open_photos
from lungfish.deploy.known_photos import KnownPhotos
from lungfish.evaluation.wording import listed
from lungfish.runtime.bundle import Bundle

ALL = "all"
MOST_NAMED = 20  # classes


def open_labelled(photos: str | Path, follow_links: bool) -> PhotoSet:
    """List photos as `open_photos` does, but accept a single class: a classifier can be measured on it."""
    try:
        return open_photos(photos, follow_links=follow_links)
    except OneClassError as error:
        return error.photos


def check_class_names(labels: Sequence[str], *bundles: Bundle) -> None:
    """Check that at least one of the bundles knows each class.

    Raises:
        PhotosError: A class, perhaps misspelled, is known to none of them.
    """
    known: set[str] = set().union(*(bundle.labels for bundle in bundles))
    unknown = sorted(set(labels) - known)
    if not unknown:
        return
    named = listed([repr(printable(name)) for name in unknown], MOST_NAMED)
    absent = listed([repr(printable(name)) for name in sorted(known.difference(labels))], MOST_NAMED)
    folders = [printable(str(bundle.folder)) for bundle in bundles]
    who = f"neither {' nor '.join(folders)} has" if len(folders) > 1 else f"{folders[0]} has no"
    raise PhotosError(
        f"{who} {'class' if len(unknown) == 1 else 'classes'} {named}"
        + (f"; there are no photos of {absent}" if absent else ""),
        "Rename the folders to classes of the bundle, which labels.txt lists, or leave those photos out.",
    )


def choose_split(
    photos: PhotoSet, known: KnownPhotos, split: str | None, progress: Progress
) -> tuple[str, Sequence[Photo]]:
    """Return the name of a split and its photos.

    Args:
        photos: All listed photos.
        known: Photos of a bundle; photos without splits get its splits, by content.
        split: `train`, `val`, `test` or `all`; by default `test` if the photos come with splits, else `all`.
        progress: Receives progress events of the search by content.

    Raises:
        UsageError: The photos have no such split.
    """
    wanted = choose(split, (*SPLITS, ALL), "split") if split else "test" if photos.given_split else ALL
    if wanted == ALL:
        return wanted, photos.photos
    if photos.given_split or not known.splits:
        chosen = [photo for photo in photos.photos if photo.split == wanted]
        held = sorted({photo.split for photo in photos.photos if photo.split})
    else:
        chosen = known.select(photos, wanted, progress)
        held = []
    if not chosen:
        none_known = f", and none of them is a {wanted} photo of the bundle" if known.splits else ""
        have = f"no {wanted} split, only {', '.join(held)}" if held else f"no splits{none_known}"
        raise UsageError(f"the photos have {have}", f"Add --split {held[0] if held else ALL}.")
    return wanted, chosen
