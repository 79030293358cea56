"""A bundle, loaded: the classifier as it ships."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from threading import Lock

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


def load(path: str | Path) -> Bundle:
    """Open the bundle in a folder. It may come from anyone: every listed file that is there is checked first.

    A bundle may be slimmed for a device: of the files that its manifest lists, only the default artifact must be there.

    Raises:
        UsageError: no such folder.
        BundleError: no `bundle.json`, one that is not valid, a newer schema, a default artifact that is missing, or a
            file that is altered, truncated, a link or outside the folder.
        StorageError: a file that may not be read.
    """
    folder = Path(path)
    _check_folder(folder)
    manifest = read_manifest(folder)
    check_present_files(folder, manifest)
    return Bundle(folder, manifest)


class Bundle:
    """A checked bundle.

    Attributes:
        folder: where it is.
        manifest: what `bundle.json` says.
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
        """Class names in the order of every artifact's output."""
        return self.manifest.labels

    def session(self, artifact: str | None = None, threads: int | None = None) -> Engine:
        """The open artifact of that file name, or the default one.

        Args:
            artifact: a file name of the manifest.
            threads: that compute one batch; by default one for each physical core.

        Raises:
            UnknownNameError: no such artifact.
            UsageError: an artifact of a format that this version cannot run.
            BundleError: the file is missing or altered, or does not keep to the contract of a bundle's models.
        """
        key = (self.manifest.artifact(artifact).file, threads or physical_cores())
        with self._opening.setdefault(key, Lock()):  # threads that come together open it once
            if key not in self._sessions:
                self._sessions[key] = self._open(*key)
            return self._sessions[key]

    def probabilities(
        self, pixels: NDArray[np.uint8], artifact: str | None = None, threads: int | None = None
    ) -> NDArray[np.float32]:
        """What an artifact computes: uint8 `[batch, resolution, resolution, 3]` to float32 `[batch, classes]`.

        Raises:
            BundleError: the artifact fails, or gives something other than probabilities; and as `session`.
        """
        values = self.session(artifact, threads).run(pixels)
        if values.size and (values.min() < 0 or values.max() > 1 + 1e-4):
            raise BundleError(f"the artifact gives {values.min():g} to {values.max():g} for probabilities", HINT)
        return values

    def predict(self, items: Iterable[Picture], artifact: str | None = None, top: int = 5) -> list[Prediction]:
        """Classify pictures; a picture that cannot be read gives a row with `error`.

        Args:
            items: paths, the bytes of files, Pillow images, or uint8 `[height, width, 3]` arrays of RGB.
            artifact: a file name of the manifest; the default artifact if `None`.
            top: how many classes to list in each row.

        Returns:
            One row for each item, in the same order.

        Raises:
            UsageError: `items` is a single picture, an item is no picture, or `top` is negative; and as `session`.
        """
        return list(self.predict_each(items, artifact, top, in_batches=True))

    def predict_each(
        self,
        items: Iterable[Picture | Prediction],
        artifact: str | None = None,
        top: int = 5,
        *,
        in_batches: bool | None = None,
    ) -> Iterator[Prediction]:
        """As `predict`, one row at a time, in memory that does not grow with the number of items.

        Args:
            items: as `predict` takes them; a row that is finished already passes through in its place.
            artifact: as for `predict`.
            top: as for `predict`.
            in_batches: compute `BATCH_SIZE` items together, batches side by side on the cores, and read as many ahead
                as that needs: fastest for files. If False, each row comes before the next item is asked for: right
                for a camera. By default, True if `items` has a length.
        """
        if isinstance(items, str | Path | bytes | Image.Image | np.ndarray):
            raise UsageError(f"predict takes a list of pictures, got one {type(items).__name__}", "Write [picture].")
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
        # few pictures: all cores compute together; many: each core takes a chunk, from its decoding to its labels
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
        """What the artifact takes, or the row of a picture that cannot be read."""
        file = str(item) if isinstance(item, str | Path) else None
        try:
            image = self.manifest.preprocess.open(item)
            if 0 in image.size:
                return Prediction(file, error=f"{image.width} x {image.height} pixels: there is nothing to see")
            return _Input(file, self.manifest.preprocess.pixels(image))
        except UnreadablePhotoError as error:
            return Prediction(file, error=error.message)

    def _open(self, file: str, threads: int) -> Engine:
        row = self.manifest.artifact(file)
        session = open_engine(read_artifact(self.folder, row), row.format, threads)
        classes, resolution_px = len(self.labels), self.manifest.preprocess.resolution_px
        if (session.classes, session.resolution_px) != (classes, resolution_px):
            raise BundleError(
                f"{file} takes {session.resolution_px} px and gives {session.classes} classes; "
                f"{MANIFEST_NAME} says {resolution_px} px and {classes} classes",
                HINT,
            )
        check_metadata(session.metadata, self.labels, self.manifest.preprocess, file)
        return session


@dataclass(frozen=True, eq=False)
class _Input:
    file: str | None
    pixels: NDArray[np.uint8]


def _check_folder(folder: Path) -> None:
    shown, hint = printable(str(folder)), "lungfish train PHOTOS --out DIR makes a bundle."
    try:
        if folder.is_dir():
            return
        reason = "is a file; a bundle is a folder" if folder.is_file() else "does not exist"
    except OSError as error:  # a name that is too long
        reason = f"cannot be opened: {error.strerror}"
    raise UsageError(f"{shown} {reason}", hint)
