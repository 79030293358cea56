"""The photos that a bundle was made from, recognized by their content."""

from __future__ import annotations

from dataclasses import dataclass

from lungfish.core.errors import BundleError, UnreadablePhotoError, UsageError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet
from lungfish.data.split_file import read_split, saved_split
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.untrusted import HINT

PHOTOS_NAME = "photos.csv"


@dataclass(frozen=True)
class KnownPhotos:
    """Which side each photo was on: `train`, `val` or `test` by SHA-256; empty if the bundle does not say."""

    sides: dict[str, str]

    def side(self, data: bytes) -> str | None:
        """The side of a photo with this content, or None if it took no part."""
        return self.sides.get(sha256_bytes(data))

    def select(self, photos: PhotoSet, split: str, progress: Progress) -> list[Photo]:
        """The photos that were on one side; reads them all."""
        chosen = []
        with progress.task(f"Find the {split} photos", len(photos.photos)) as advance:
            for photo in photos.photos:
                if self._side_of(photos, photo) == split:
                    chosen.append(photo)
                advance(1)
        return chosen

    def _side_of(self, photos: PhotoSet, photo: Photo) -> str | None:
        try:
            return self.side(photos.read(photo))
        except UnreadablePhotoError:
            return None


def known_photos(bundle: Bundle) -> KnownPhotos:
    """Read the bundle's `photos.csv`, if it has one.

    Raises:
        BundleError: it is no list of photos.
    """
    if PHOTOS_NAME not in bundle.manifest.files:
        return KnownPhotos({})
    try:
        rows = read_split(bundle.folder / PHOTOS_NAME)
    except UsageError as error:
        raise BundleError(error.message, HINT) from None
    return KnownPhotos(saved_split(rows).by_content)
