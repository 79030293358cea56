"""Load a bundle and predict with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.errors import BundleError, UnreadablePhotoError, UsageError
from lungfish.core.names import plural, printable
from lungfish.core.untrusted import HINT
from lungfish.runtime.bundle_files import check_present_files, read_artifact, read_manifest
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.engines.engine import BATCH_SIZE, Engine
from lungfish.runtime.engines.table import open_engine
from lungfish.runtime.manifest import MANIFEST_NAME, Manifest
from lungfish.runtime.metadata import check_metadata
from lungfish.runtime.prediction import Prediction, rank
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Picture

T = TypeVar("T")


def load(path: str | Path) -> Bundle:
    """Load the bundle in a folder, which need not be trusted: every listed file that is present is checked first.

    In a bundle that was slimmed for a device, only the files of the default artifact must be present.

    Args:
        path: Folder of the bundle.

    Raises:
        UsageError: The folder does not exist.
        BundleError: `bundle.json` is missing, invalid or of a newer schema; the default artifact is missing; or a file
            is altered, truncated, a link or outside the folder.
        StorageError: Permission to read a file is denied.
    """
    folder = Path(path)
    _check_folder(folder)
    manifest = read_manifest(folder)
    check_present_files(folder, manifest)
    return Bundle(folder, manifest)


class Bundle:
    """A bundle whose files have been checked; `load` returns one.

    Attributes:
        folder: Folder of the bundle.
        manifest: Content of `bundle.json`.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._sessions: dict[tuple[str, int], Engine] = {}
        self._opening: dict[tuple[str, int], Lock] = {}

    def __repr__(self) -> str:
        return f"<Bundle of {plural(len(self.labels), 'class', 'classes')}, default artifact {self.manifest.default}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the output of every artifact."""
        return self.manifest.labels

    def session(self, artifact: str | None = None, threads: int | None = None) -> Engine:
        """Open an artifact, or return it if it is already open.

        Args:
            artifact: Name of its main file; the default artifact if None.
            threads: Threads that compute one batch; by default one for each physical core.

        Raises:
            UnknownNameError: The bundle has no such artifact.
            UsageError: This version cannot run the format of the artifact.
            BundleError: A file is missing or altered, or the model breaks the contract for models in bundles.
        """
        key = (self.manifest.artifact(artifact).file, threads or physical_cores())
        with self._opening.setdefault(key, Lock()):  # concurrent calls open the artifact once
            if key not in self._sessions:
                self._sessions[key] = self._open(*key)
            return self._sessions[key]

    def probabilities(
        self, pixels: NDArray[np.uint8], artifact: str | None = None, threads: int | None = None
    ) -> NDArray[np.float32]:
        """Compute the probabilities of preprocessed pixels.

        Args:
            pixels: uint8 `[batch, resolution, resolution, 3]`.
            artifact: Name of the artifact's main file; the default artifact if None.
            threads: Threads that compute one batch; by default one for each physical core.

        Returns:
            float32 `[batch, classes]`.

        Raises:
            BundleError: The artifact fails, or returns something other than probabilities; see also `session`.
        """
        values = self.session(artifact, threads).run(pixels)
        if values.size and (values.min() < 0 or values.max() > 1 + 1e-4):
            raise BundleError(
                f"the artifact returned probabilities from {values.min():g} to {values.max():g}; 0 to 1 are allowed",
                HINT,
            )
        return values

    def predict(
        self, items: Picture | Iterable[Picture], artifact: str | None = None, top: int = 5
    ) -> list[Prediction]:
        """Classify pictures. If one cannot be read, its prediction has an `error`.

        Args:
            items: One or several pictures: paths, bytes of files, Pillow images, or RGB arrays, uint8
                `[height, width, 3]`. An array `[n, height, width, 3]` is `n` pictures.
            artifact: Name of the artifact's main file; the default artifact if None.
            top: Number of classes to list in each prediction.

        Returns:
            One prediction for each picture, in the same order; for a single picture, a list of one.

        Raises:
            UsageError: An item is not a picture, or `top` is negative; see also `session`.

        Examples:
            >>> import lungfish as lf
            >>> bundle = lf.load("shoes/")
            >>> [row.label for row in bundle.predict(["a.jpg", pil_image, array])]
            ['boot', 'boot', 'sandal']
            >>> bundle.predict("a.jpg")[0].probability
            0.93
        """
        return list(self.predict_each(items, artifact, top, in_batches=True))

    def predict_each(
        self,
        items: Picture | Iterable[Picture | Prediction],
        artifact: str | None = None,
        top: int = 5,
        *,
        in_batches: bool | None = None,
    ) -> Iterator[Prediction]:
        """Classify pictures as `predict` does, yielding one prediction at a time in constant memory.

        Args:
            items: Pictures as for `predict`; an item that is already a `Prediction` is passed through.
            artifact: Name of the artifact's main file; the default artifact if None.
            top: Number of classes to list in each prediction.
            in_batches: Whether to compute batches of `BATCH_SIZE` items in parallel, reading ahead: fastest for files.
                If False, each prediction is yielded before the next item is read, as a camera needs. By default, True
                if `items` has a length.
        """
        items = as_items(items)
        if top < 0:
            raise UsageError(f"top is {top}; it must be 0 or more")
        self.manifest.artifact(artifact)
        if isinstance(items, Sized) if in_batches is None else in_batches:
            return self._predict_batches(items, artifact, top)
        return (row for item in items for row in self._predict_chunk([item], artifact, None, top))

    def _predict_batches(
        self, items: Iterable[Picture | Prediction], artifact: str | None, top: int
    ) -> Iterator[Prediction]:
        rest = iter(items)
        chunks = iter(lambda: list(islice(rest, BATCH_SIZE)), [])
        first = next(chunks, [])
        # few pictures: all cores share a batch; many: each core processes its own chunk, from decoding to labels
        cores = physical_cores()
        threads = cores if len(first) < BATCH_SIZE else 1
        self.session(artifact, threads)

        def run(chunk: Sequence[Picture | Prediction]) -> list[Prediction]:
            return self._predict_chunk(chunk, artifact, threads, top)

        for rows in prefetch(run, chain([first], chunks), cores, 2 * cores):
            yield from rows

    def _predict_chunk(
        self, chunk: Sequence[Picture | Prediction], artifact: str | None, threads: int | None, top: int
    ) -> list[Prediction]:
        threshold = self.manifest.thresholds.get("known", 0.0)
        inputs = [item if isinstance(item, Prediction) else self._prepare(item) for item in chunk]
        pixels = [each.pixels for each in inputs if isinstance(each, _Input)]
        answers = iter(self.probabilities(np.stack(pixels), artifact, threads) if pixels else ())
        return [
            rank(each.file, next(answers), self.labels, threshold, top) if isinstance(each, _Input) else each
            for each in inputs
        ]

    def _prepare(self, item: Picture) -> _Input | Prediction:
        """Return the input of the artifact, or the prediction with an error if the picture cannot be read."""
        file = str(item) if isinstance(item, str | Path) else None
        try:
            image = self.manifest.preprocess.open(item)
            if 0 in image.size:
                return Prediction(file, error=f"the picture is empty: {image.width} x {image.height} pixels")
            return _Input(file, self.manifest.preprocess.pixels(image))
        except UnreadablePhotoError as error:
            return Prediction(file, error=error.message)

    def _open(self, file: str, threads: int) -> Engine:
        row = self.manifest.artifact(file)
        session = open_engine(read_artifact(self.folder, row), row.format, threads)
        classes, resolution_px = len(self.labels), self.manifest.preprocess.resolution_px
        if (session.classes, session.resolution_px) != (classes, resolution_px):
            raise BundleError(
                f"{file} expects {session.resolution_px} px and returns {session.classes} classes; "
                f"{MANIFEST_NAME} says {resolution_px} px and {classes} classes",
                HINT,
            )
        check_metadata(session.metadata, self.labels, self.manifest.preprocess, file)
        return session


@dataclass(frozen=True, eq=False)
class _Input:
    file: str | None
    pixels: NDArray[np.uint8]


def as_items(items: Picture | Iterable[T]) -> Iterable[Picture | T]:
    """Wrap a single picture in a list; return several unchanged. An array `[n, height, width, 3]` is several."""
    is_one = isinstance(items, str | Path | bytes | Image.Image) or (isinstance(items, np.ndarray) and items.ndim != 4)
    return [items] if is_one else items  # type: ignore[list-item, return-value]  # mypy does not follow `is_one`


def _check_folder(folder: Path) -> None:
    shown, hint = printable(str(folder)), "Give the folder that lungfish train wrote."
    try:
        if folder.is_dir():
            return
        is_file = folder.is_file()
        reason = "is a file; a bundle is a folder" if is_file else "does not exist"
        if is_file and (folder.parent / MANIFEST_NAME).is_file():
            hint = f"Give the folder that contains it: {printable(str(folder.parent))}"
    except OSError as error:  # the name is too long
        reason = f"cannot be opened: {error.strerror}"
    raise UsageError(f"{shown} {reason}", hint)
