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
from lungfish.data.photos import Photo, PhotoSet
from lungfish.data.scan.capture_time import capture_time
from lungfish.data.scan.examined import Examined, PhotoResult, Tally
from lungfish.data.scan.features import Trunk, open_features
from lungfish.data.scan.inspection import InspectionCache, inspect
from lungfish.data.scan.row_store import RowStore
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Preprocessing

CHUNK_PHOTOS = 16
LOOK_AHEAD = 4  # chunks in flight per worker
FLUSH_EVERY_S = 2.0  # work that a kill can lose, at most


@dataclass(frozen=True)
class ExamineOptions:
    """Options of the scan.

    Args:
        needs_features: Function that selects the photos that go through the trunk; all by default.
        workers: Number of threads; 0 for the number of physical cores available to this process.
        progress: Updated after every chunk of photos; its stop token is checked each time.
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
        MissingExtraError: SciPy is not installed.
        StoppedError: The caller asked to stop.
    """
    options = options or ExamineOptions()
    budget_bytes()  # fail now rather than after the work
    examiner = _Examiner(photos, preprocess, trunk)
    embeds = [trunk is not None and options.needs_features(photo) for photo in photos.photos]
    tally = Tally(photos, sum(embeds), trunk.width if trunk else 0)
    workers = options.workers or physical_cores()
    try:
        with (
            options.progress.task("photos", len(embeds)) as advance,
            closing(prefetch(examiner.scan, _chunks(embeds), workers, LOOK_AHEAD * workers, examiner.stop)) as results,
        ):
            flushed = time.monotonic()
            for done in results:
                tally.add(done)
                advance(len(done))
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


def _chunks(embeds: Sequence[bool]) -> Iterator[_Chunk]:
    """Yield chunks, first those of photos that need features, so that the batches of the trunk are full."""
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

    def scan(self, chunk: _Chunk) -> list[PhotoResult]:
        results: list[PhotoResult] = []
        to_embed: list[tuple[PhotoResult, str, NDArray[np.uint8]]] = []
        for index in chunk.indices:
            if self.stop.is_set():
                return []
            result = PhotoResult(index)
            try:
                pixels = self._scan_photo(result, chunk.wants_features)
            except UnreadablePhotoError as error:
                result.reason = error.message
            else:
                if pixels is not None and result.seen is not None:
                    to_embed.append((result, result.seen.sha256, pixels))
            results.append(result)
        self._embed(to_embed)
        return results

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

    def _scan_photo(self, result: PhotoResult, wants_features: bool) -> NDArray[np.uint8] | None:
        """Fill in a result from the caches or the pixels; return the pixels if they must go through the trunk."""
        data = self.photos.read(self.photos.photos[result.index])
        sha256 = sha256_bytes(data)
        result.taken = capture_time(data)
        result.seen = self._inspections.get(sha256)
        if wants_features and self._features is not None:
            row = self._features.get(sha256)
            result.feature = None if row is None else np.asarray(row, np.float32)
        must_embed = wants_features and result.feature is None
        if result.seen is not None and not must_embed:
            return None
        pixels = self.preprocess.pixels(self.preprocess.decode(data))
        result.decoded = True
        if result.seen is None:
            result.seen = inspect(sha256, pixels)
            self._inspections.add(result.seen)
        return pixels if must_embed else None

    def _embed(self, missing: Sequence[tuple[PhotoResult, str, NDArray[np.uint8]]]) -> None:
        if not missing or self.trunk is None or self._features is None:
            return
        features = self.trunk(np.stack([pixels for _, _, pixels in missing]))
        for (result, sha256, _), feature in zip(missing, features, strict=True):
            result.feature, result.embedded = feature, True
            self._features.add(sha256, feature)
