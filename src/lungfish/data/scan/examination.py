"""Scan all photos in one streaming pass: read, hash, decode, inspect, run the frozen trunk. Cached results are reused.

Memory holds the records, the features, and a few chunks of photos, however many photos there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lungfish.core import space
from lungfish.core.cache import budget_bytes, cache_folder
from lungfish.core.errors import StorageError, UnreadablePhotoError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.data.scan.capture_time import capture_time
from lungfish.data.scan.features import Trunk, open_features
from lungfish.data.scan.inspection import Inspection, InspectionCache, inspect
from lungfish.data.scan.row_store import RowStore
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Preprocessing

CHUNK_PHOTOS = 16
LOOK_AHEAD = 4  # chunks in flight per worker
FLUSH_EVERY_S = 2.0  # work that a kill can lose, at most


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


@dataclass(frozen=True)
class ExamineOptions:
    """Options of the scan.

    Args:
        needs_features: Function that selects the photos that go through the trunk; all by default.
        workers: Number of threads; 0 for the number of physical cores available to this process.
        progress: Receives every chunk of photos; its stop token is checked after each.
    """

    needs_features: Callable[[Photo], bool] = lambda _photo: True
    workers: int = 0
    progress: Progress = field(default_factory=Progress)


def examine(
    photos: PhotoSet, preprocess: Preprocessing, trunk: Trunk | None = None, options: ExamineOptions | None = None
) -> Examined:
    """Scan every photo once and compute its features; both are cached by content.

    After Ctrl-C or an error, finished work is kept, and the next run continues from there.

    Args:
        photos: Photos as the source lists them.
        preprocess: Preprocessing of the pixels, part of the cache key.
        trunk: Frozen network; None to inspect only.
        options: Photos that need features, threads, progress.

    Raises:
        MissingExtraError: imagehash is not installed.
        StoppedError: The caller asked to stop.
    """
    options = options or ExamineOptions()
    budget_bytes()  # fail now rather than after the work
    examiner = _Examiner(photos, preprocess, trunk)
    embeds = [trunk is not None and options.needs_features(photo) for photo in photos.photos]
    tally = _Tally(photos, sum(embeds), trunk.width if trunk else 0)
    workers = options.workers or physical_cores()
    try:
        with (
            options.progress.task("photos", len(embeds)) as advance,
            closing(prefetch(examiner.look, _chunks(embeds), workers, LOOK_AHEAD * workers, examiner.stop)) as results,
        ):
            flushed = time.monotonic()
            for looks in results:
                tally.take(looks)
                advance(len(looks))
                options.progress.stop.check()
                if time.monotonic() - flushed > FLUSH_EVERY_S:
                    examiner.flush()
                    flushed = time.monotonic()
    finally:
        examiner.flush()
    space.make_room(cache_folder(), 0)
    return tally.result(examiner.warnings)


@dataclass(frozen=True, slots=True)
class _Chunk:
    indices: Sequence[int]
    wants_features: bool


@dataclass(slots=True)
class _Look:
    """Result of one photo: an inspection or the reason for none, and features if requested."""

    index: int
    seen: Inspection | None = None
    taken: int | None = None
    reason: str = ""
    feature: NDArray[np.float32] | None = None
    decoded: bool = False
    embedded: bool = False


def _chunks(embeds: Sequence[bool]) -> Iterator[_Chunk]:
    """Yield photos that need features first, so that the batches of the trunk are full."""
    for wants_features in (True, False):
        indices = [i for i, wants in enumerate(embeds) if wants is wants_features]
        for start in range(0, len(indices), CHUNK_PHOTOS):
            yield _Chunk(indices[start : start + CHUNK_PHOTOS], wants_features)


class _Examiner:
    """Scans chunks in any thread; results go to the caches at once."""

    def __init__(self, photos: PhotoSet, preprocess: Preprocessing, trunk: Trunk | None) -> None:
        self.photos = photos
        self.preprocess = preprocess
        self.trunk = trunk
        self.stop = threading.Event()
        self.warnings: list[str] = []
        self._inspections = InspectionCache(preprocess)
        self._features = open_features(trunk, preprocess) if trunk else None
        self._in_use = [space.in_use(store.folder) for store in self._stores()]

    def look(self, chunk: _Chunk) -> list[_Look]:
        looks: list[_Look] = []
        to_embed: list[tuple[_Look, str, NDArray[np.uint8]]] = []
        for index in chunk.indices:
            if self.stop.is_set():
                return []
            look = _Look(index)
            try:
                pixels = self._look_at(look, chunk.wants_features)
            except UnreadablePhotoError as error:
                look.reason = error.message
            else:
                if pixels is not None and look.seen is not None:
                    to_embed.append((look, look.seen.sha256, pixels))
            looks.append(look)
        self._embed(to_embed)
        return looks

    def flush(self) -> None:
        """Write new results to disk. If a store cannot be written, warn once and continue without it."""
        for store in self._stores():
            try:
                store.flush()
            except StorageError as error:
                # without the path, as reports are shared
                cause = error.__cause__
                reason = (cause.strerror if isinstance(cause, OSError) else None) or "cannot be written"
                self.warnings.append(f"{store.folder.parent.name} are not cached: {reason}")

    def _stores(self) -> list[RowStore]:
        return [self._inspections.store, *([self._features] if self._features is not None else [])]

    def _look_at(self, look: _Look, wants_features: bool) -> NDArray[np.uint8] | None:
        """Fill in a result from the caches or the pixels; return the pixels if they must go through the trunk."""
        data = self.photos.read(self.photos.photos[look.index])
        sha256 = sha256_bytes(data)
        look.taken = capture_time(data)
        look.seen = self._inspections.get(sha256)
        if wants_features and self._features is not None:
            row = self._features.get(sha256)
            look.feature = None if row is None else np.asarray(row, np.float32)
        must_embed = wants_features and look.feature is None
        if look.seen is not None and not must_embed:
            return None
        pixels = self.preprocess.pixels(self.preprocess.decode(data))
        look.decoded = True
        if look.seen is None:
            look.seen = inspect(sha256, pixels)
            self._inspections.add(look.seen)
        return pixels if must_embed else None

    def _embed(self, looks: Sequence[tuple[_Look, str, NDArray[np.uint8]]]) -> None:
        if not looks or self.trunk is None or self._features is None:
            return
        features = self.trunk(np.stack([pixels for _, _, pixels in looks]))
        for (look, sha256, _), feature in zip(looks, features, strict=True):
            look.feature, look.embedded = feature, True
            self._features.add(sha256, feature)


class _Tally:
    """Collects the results, which come in chunks, into arrays in the order of the photos."""

    def __init__(self, photos: PhotoSet, features: int, width: int) -> None:
        self._photos = photos
        self._seen: list[Inspection | None] = [None] * len(photos.photos)
        self._taken: dict[int, int] = {}
        self._reasons: dict[int, str] = {}
        self._features = np.empty((features, width), np.float32)
        self._rows = np.full(len(photos.photos), -1, np.int64)
        self._filled = self._decoded = self._embedded = 0

    def take(self, looks: Sequence[_Look]) -> None:
        for look in looks:
            self._seen[look.index] = look.seen
            if look.taken is not None:
                self._taken[look.index] = look.taken
            self._decoded += look.decoded
            self._embedded += look.embedded
            if look.reason:
                self._reasons[look.index] = look.reason
            if look.feature is not None:
                self._features[self._filled] = look.feature
                self._rows[look.index] = self._filled
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
