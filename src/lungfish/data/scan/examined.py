"""Collect the results of a scan: a record for each readable photo, and the features in one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.data.scan.inspection import Inspection


@dataclass(frozen=True, slots=True)
class Record:
    """A readable photo, its inspection, and its capture time in seconds of the camera's clock; None if unknown."""

    photo: Photo
    seen: Inspection
    taken: int | None = None


@dataclass(frozen=True)
class Examined:
    """All photos after the scan.

    Args:
        records: Readable photos, sorted by name.
        features: float32 `[m, width]`, a row for each readable photo that needed features.
        feature_rows: int64 `[len(records)]`, each photo's row in `features`; -1 for none.
        skipped: Files skipped while listing, then photos that could not be read or decoded.
        decoded: Number of photos that had to be decoded.
        embedded: Number of photos that had to go through the trunk.
        warnings: Warnings of the listing and of the cache.
    """

    records: tuple[Record, ...]
    features: NDArray[np.float32]
    feature_rows: NDArray[np.int64]
    skipped: tuple[SkippedFile, ...]
    decoded: int
    embedded: int
    warnings: tuple[str, ...]


@dataclass(slots=True)
class PhotoResult:
    """Result of one photo: an inspection or the reason for none, and features if requested."""

    index: int
    seen: Inspection | None = None
    taken: int | None = None
    reason: str = ""
    feature: NDArray[np.float32] | None = None
    decoded: bool = False
    embedded: bool = False


class Tally:
    """Collects the results, which come in chunks, into arrays in the order of the photos."""

    def __init__(self, photos: PhotoSet, features: int, width: int) -> None:
        self._photos = photos
        self._seen: list[Inspection | None] = [None] * len(photos.photos)
        self._taken: dict[int, int] = {}
        self._reasons: dict[int, str] = {}
        self._features = np.empty((features, width), np.float32)
        self._rows = np.full(len(photos.photos), -1, np.int64)
        self._filled = self._decoded = self._embedded = 0

    def add(self, results: Sequence[PhotoResult]) -> None:
        for result in results:
            self._seen[result.index] = result.seen
            if result.taken is not None:
                self._taken[result.index] = result.taken
            self._decoded += result.decoded
            self._embedded += result.embedded
            if result.reason:
                self._reasons[result.index] = result.reason
            if result.feature is not None:
                self._features[self._filled] = result.feature
                self._rows[result.index] = self._filled
                self._filled += 1

    def result(self, warnings: Sequence[str]) -> Examined:
        photos = self._photos.photos
        readable = [i for i, seen in enumerate(self._seen) if seen is not None]
        records = tuple(
            Record(photos[i], seen, self._taken.get(i)) for i in readable if (seen := self._seen[i]) is not None
        )
        unreadable = tuple(SkippedFile(photos[i].name, self._reasons[i]) for i in sorted(self._reasons))
        return Examined(
            records,
            self._features[: self._filled],
            self._rows[readable],
            self._photos.skipped + unreadable,
            self._decoded,
            self._embedded,
            self._photos.warnings + tuple(warnings),
        )
