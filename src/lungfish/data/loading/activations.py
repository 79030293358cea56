"""Compute the activations of a network's frozen part for augmented views of photos, and cache them on disk."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL
from numpy.typing import NDArray

from lungfish.core import space
from lungfish.core.cache import cache_folder
from lungfish.core.errors import UnreadablePhotoError, UsageError
from lungfish.core.hashing import sha256_bytes, sha256_json
from lungfish.core.progress import Progress
from lungfish.data.augment.augmentation import Augmentation, augmented, view_rng
from lungfish.data.loading.growing_array import GrowingArray
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.decode import decode
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Preprocessing

VERSION = 1  # increase if activations change under the same key
DTYPE = np.dtype("<f2")
CHUNK_VIEWS = 32  # views per call of the trunk
FLUSH_EVERY_S = 2.0  # work that a kill can lose, at most
RESIDENT_BYTES = 1 << 30  # approximate limit of the file's pages in memory

Shape = tuple[int, int, int]  # channels, height, width
Positions = NDArray[np.int64]


class FrozenPart(Protocol):
    """The frozen part of a network. Called from several threads at once; a row must not depend on the others."""

    @property
    def key(self) -> str:
        """Hash of everything that determines the result: weights, architecture, boundary, engine."""
        ...

    @property
    def shape(self) -> Shape:
        """Shape of the output for one photo."""
        ...

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float16]:
        """Map pixels, uint8 `[n, height, width, 3]`, to activations, float16 `[n, *shape]`."""
        ...


@dataclass(frozen=True)
class ViewSettings:
    """Which views of each photo to compute.

    Args:
        views: Augmented views, in addition to the plain one.
        augmentation: Limits of the augmentation.
        seed: Seed for every random choice.

    Raises:
        UsageError: `views` is negative.
    """

    views: int = 4
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 0:
            raise UsageError(f"views is {self.views}; it must be 0 or more")


class Views:
    """Activations of photos, in a file. Thread-safe.

    Attributes:
        photos: Number of photos.
        views: Views of each photo, including the plain one; view 0 is preprocessed as for inference.
        shape: Shape of one view's activations.
    """

    def __init__(self, array: GrowingArray) -> None:
        self._mapped, self._activations = array.read()
        self.photos, self.views, *_ = array.shape
        self.shape = array.shape[2:]
        self._resident_bytes = 0
        self._in_use = space.in_use(array.folder)

    def rows(self, photos: Positions, views: Positions, /) -> NDArray[np.float16]:
        """Return a copy of some activations, float16 `[n, channels, height, width]`.

        Args:
            photos: int64 `[n]`, positions of the photos in the order passed to `compute_views`.
            views: int64 `[n]`, the view of each photo.
        """
        rows: NDArray[np.float16] = self._activations[photos, views]
        self._resident_bytes += rows.nbytes
        if self._resident_bytes > RESIDENT_BYTES and hasattr(self._mapped, "madvise"):  # not on Windows
            self._resident_bytes = 0
            self._mapped.madvise(mmap.MADV_DONTNEED)  # they stay in the system's cache if there is room
        return rows


def bytes_needed(shape: Shape, photos: int, views: int) -> int:
    """Return the disk space of the activations.

    Args:
        shape: Shape of one photo's activations at the boundary.
        photos: Number of photos.
        views: Augmented views of each photo, in addition to the plain one.
    """
    channels, height, width = shape
    return photos * (1 + views) * channels * height * width * DTYPE.itemsize


def bytes_available() -> int:
    """Return the disk space for activations: see `lungfish.core.space`. Raises `UsageError`."""
    return space.bytes_available(_folder())


def compute_views(
    readers: Sequence[Callable[[], bytes]],
    hashes: Sequence[str],
    trunk: FrozenPart,
    preprocess: Preprocessing,
    settings: ViewSettings,
    progress: Progress | None = None,
) -> Views:
    """Return the activations of all views of all photos, computing those that are not cached.

    Progress is saved every few seconds; after a kill the next run continues from there. A second process that needs the
    same activations waits until they are complete.

    Args:
        readers: Functions that read the photos, called from several threads; each may raise `UnreadablePhotoError`.
        hashes: SHA-256 of each photo's bytes, in hexadecimal.
        trunk: Frozen part of the network.
        preprocess: Preprocessing of the plain view; its resolution and interpolation apply to all views.
        settings: Views to compute.
        progress: Updated every few photos; its stop token is checked each time.

    Raises:
        UnreadablePhotoError: A photo vanished, changed or broke after it was hashed; finished activations are kept.
        StorageError: The cache's budget or the disk is too small, or the cache cannot be written.
        MissingExtraError: filelock is not installed.
        StoppedError: The caller asked to stop.
    """
    progress = progress or Progress()
    work = _Work(readers, hashes, trunk, preprocess, settings)
    folder = _folder() / work.key
    array_shape = (len(hashes), 1 + settings.views, *trunk.shape)
    with space.folder_lock(
        folder, lambda: progress.say("Waiting for another process that computes the same activations")
    ):
        array = GrowingArray(folder, work.key, array_shape, DTYPE)
        if not array.exists:
            space.make_room(folder, bytes_needed(trunk.shape, len(hashes), settings.views))
            array.create()
        if array.done < len(hashes):
            _fill(array, work, progress)
        return Views(array)


def _fill(array: GrowingArray, work: _Work, progress: Progress) -> None:
    photos, views, *_ = array.shape
    step = max(1, CHUNK_VIEWS // views)
    chunks = (range(start, min(start + step, photos)) for start in range(array.done, photos, step))
    cores = physical_cores()
    try:
        with (
            progress.task("activations", photos - array.done) as advance,
            closing(prefetch(work, chunks, cores, 2 * cores)) as computed,
        ):
            flushed = time.monotonic()
            for activations in computed:
                array.append(activations)
                advance(len(activations))
                progress.stop.check()
                if time.monotonic() - flushed > FLUSH_EVERY_S:
                    array.flush()
                    flushed = time.monotonic()
    finally:
        array.flush()


class _Work:
    """Computes the activations of photos at some positions, in any thread."""

    def __init__(
        self,
        readers: Sequence[Callable[[], bytes]],
        hashes: Sequence[str],
        trunk: FrozenPart,
        preprocess: Preprocessing,
        settings: ViewSettings,
    ) -> None:
        self._readers, self._hashes, self._trunk = readers, hashes, trunk
        self._preprocess, self._settings = preprocess, settings
        self._draft_px = settings.augmentation.draft_px(preprocess) if settings.views else preprocess.draft_px
        self.key = sha256_json(
            {
                "version": VERSION,
                "trunk": trunk.key,
                "pillow": PIL.__version__,
                "preprocess": preprocess.to_json(),
                "settings": asdict(settings) if settings.views else None,  # plain views are not random
                "photos": sha256_json(list(hashes)),
            }
        )

    def __call__(self, positions: range) -> NDArray[np.float16]:
        """Return float16 `[n, 1 + views, channels, height, width]`."""
        pixels = np.concatenate([self._views(i) for i in positions])
        return self._trunk(pixels).reshape(len(positions), -1, *self._trunk.shape)

    def _views(self, i: int) -> NDArray[np.uint8]:
        """Return uint8 `[1 + views, resolution, resolution, 3]`."""
        rule, settings, sha256 = self._preprocess, self._settings, self._hashes[i]
        try:
            data = _read(self._readers[i], sha256)
            plain = rule.decode(data)
            # the plain view must equal that of inference, which may decode at a lower resolution than crops need
            image = plain if self._draft_px == rule.draft_px else decode(data, self._draft_px)
        except UnreadablePhotoError as error:
            which = f"photo {i + 1} of {len(self._hashes)} (SHA-256 {sha256[:12]})"
            hint = "Run the command again; it scans all photos again."
            raise UnreadablePhotoError(f"{which}: {error.message}", hint) from None
        rngs = (view_rng(settings.seed, sha256, view) for view in range(1, 1 + settings.views))
        return np.stack([rule.pixels(plain), *(augmented(image, rule, settings.augmentation, rng) for rng in rngs)])


def _read(reader: Callable[[], bytes], sha256: str) -> bytes:
    data = reader()
    if sha256_bytes(data) != sha256:
        raise UnreadablePhotoError("it has changed since it was first read")
    return data


def _folder() -> Path:
    return cache_folder() / "activations"
