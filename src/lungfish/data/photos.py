"""Labelled photos, which are listed all at once and read one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo, not yet read.

    Args:
        name: Relative POSIX name, unique within its `PhotoSet`.
        label: Index into `PhotoSet.labels`.
        split: `train`, `val` or `test` if given by the source, else None.
        group: Name of its group (a person, an object, a session), which stays in one split; None if ungrouped.
        row: Row in the source's table; -1 for a separate file.
    """

    name: str
    label: int
    split: str | None = None
    group: str | None = None
    row: int = -1


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A skipped file, as listed in the report.

    Args:
        file: Name, relative to the source.
        reason: Why it was skipped.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class PhotoSet:
    """All photos of a source, sorted by name.

    Args:
        labels: Class names in the order of the class indices.
        photos: Listed photos, sorted by name.
        reader: Function that returns a photo's bytes; thread-safe.
        skipped: Files that were skipped while listing.
        warnings: Warnings about the listing.
    """

    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    reader: Callable[[Photo], bytes]
    skipped: tuple[SkippedFile, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def given_split(self) -> bool:
        """Whether the source itself assigns photos to splits."""
        return any(photo.split is not None for photo in self.photos)

    def read(self, photo: Photo) -> bytes:
        """Return the bytes of a photo. Thread-safe.

        Raises:
            UnreadablePhotoError: The photo is gone, cannot be read, or exceeds the size limit.
        """
        return self.reader(photo)
