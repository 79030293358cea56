"""Recognize the photos that a bundle was made from, by content."""

from __future__ import annotations

from dataclasses import dataclass

from lungfish.core.errors import BundleError, UnreadablePhotoError, UsageError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress
from lungfish.core.untrusted import HINT
from lungfish.data.photos import Photo, PhotoSet
from lungfish.data.split.photos_csv import read_split, saved_split
from lungfish.runtime.bundle import Bundle

PHOTOS_NAME = "photos.csv"


@dataclass(frozen=True)
class KnownPhotos:
    """The photos that a bundle lists, by SHA-256.

    Args:
        splits: Split of each photo: `train`, `val` or `test`; if copies are in several splits, that of the
            first copy in name order. Empty if the bundle does not list its photos.
        trained: Photos that were trained on, including those with copies in other splits.
    """

    splits: dict[str, str]
    trained: frozenset[str]

    def was_trained_on(self, data: bytes) -> bool:
        """Return whether a photo with this content was trained on."""
        return sha256_bytes(data) in self.trained

    def select(self, photos: PhotoSet, split: str, progress: Progress) -> list[Photo]:
        """Return the photos that were in this split. Reads all photos."""
        chosen = []
        with progress.task(f"Finding the {split} photos", len(photos.photos)) as advance:
            for photo in photos.photos:
                if self._split_of(photos, photo) == split:
                    chosen.append(photo)
                advance(1)
        return chosen

    def _split_of(self, photos: PhotoSet, photo: Photo) -> str | None:
        try:
            return self.splits.get(sha256_bytes(photos.read(photo)))
        except UnreadablePhotoError:
            return None


def known_photos(bundle: Bundle) -> KnownPhotos:
    """Read the bundle's `photos.csv`, if it exists: slimmed bundles have none.

    Raises:
        BundleError: `photos.csv` is not valid.
    """
    if PHOTOS_NAME not in bundle.manifest.files or not (bundle.folder / PHOTOS_NAME).exists():
        return KnownPhotos({}, frozenset())
    try:
        rows = read_split(bundle.folder / PHOTOS_NAME)
    except UsageError as error:
        raise BundleError(error.message, HINT) from None
    trained = frozenset(row.sha256 for row in rows if row.split == "train")
    return KnownPhotos(saved_split(rows).by_content, trained)
