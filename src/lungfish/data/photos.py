"""What every source yields: labelled photos that can be listed at once and read one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo, not yet read.

    Args:
        name: relative POSIX name, unique within its `PhotoSet`.
        label: index into `PhotoSet.labels`.
        split: `train`, `val` or `test` as the source gives it; None if the source does not say.
        group: photos of one group (a person, an object, a session) stay on one side; None if alone.
        row: position in the source's table; -1 for a file of its own.
    """

    name: str
    label: int
    split: str | None = None
    group: str | None = None
    row: int = -1


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that takes no part, from the source to the report.

    Args:
        file: Its name, relative to the source.
        reason: Why, in words.
    """

    file: str
    reason: str


@dataclass(frozen=True)
class PhotoSet:
    """All photos of a source, sorted by name.

    Args:
        labels: class names in the order of the class indices.
        photos: one per listed photo, sorted by name.
        reader: returns a photo's bytes; thread-safe.
        skipped: files set aside while listing.
        warnings: what a person should know about the listing.
    """

    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    reader: Callable[[Photo], bytes]
    skipped: tuple[SkippedFile, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def given_split(self) -> bool:
        """Whether the source itself puts photos into splits."""
        return any(photo.split is not None for photo in self.photos)

    def read(self, photo: Photo) -> bytes:
        """The bytes of one photo. Thread-safe.

        Raises:
            UnreadablePhotoError: it vanished, may not be read, or is larger than a photo can be.
        """
        return self.reader(photo)
