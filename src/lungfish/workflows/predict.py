"""Labels for pictures: files, folders of files, bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lungfish.core.errors import StorageError, UsageError
from lungfish.core.names import printable
from lungfish.data.sources.tree import read_tree, why_not_photo
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.prediction import Prediction
from lungfish.workflows.open_bundle import open_bundle


def predict(
    model: str | Path, images: Iterable[str | Path | bytes], artifact: str | None = None, top: int = 5
) -> list[Prediction]:
    """Classify pictures with a bundle.

    Args:
        model: a bundle's folder.
        images: paths of files, of folders (their pictures, deeper ones too, in the order of their names; those are
            the files that training would take, by suffix or without any), or the bytes of files.
        artifact: a file name of the bundle; its default artefact if `None`.
        top: how many classes to list in each row.

    Returns:
        One row for each picture, in order; one that cannot be read has `error`, and so has a folder without pictures.

    Raises:
        UsageError: no such bundle or artefact.
        BundleError: the bundle is not what its manifest says.
    """
    return list(predict_each(model, images, artifact, top))


def predict_each(
    model: str | Path, images: Iterable[str | Path | bytes], artifact: str | None = None, top: int = 5
) -> Iterator[Prediction]:
    """As `predict`, one row at a time, in memory that does not grow with the number of pictures."""
    return open_model(model).predict_each(_pictures(images), artifact, top, in_batches=True)


def open_model(model: str | Path) -> Bundle:
    """The bundle that `model` names.

    Raises:
        UsageError: not a folder.
        BundleError: not a sound bundle.
    """
    if not os.path.exists(model):  # noqa: PTH110  unlike Path's, it never raises
        raise UsageError(
            f"no bundle at {printable(str(model))}",
            "Give the folder that lungfish train wrote; names of pretrained weights cannot be used here yet.",
        )
    return open_bundle(model)


def _pictures(images: Iterable[str | Path | bytes]) -> Iterator[str | Path | bytes | Prediction]:
    for image in images:
        if isinstance(image, bytes) or not os.path.isdir(image):  # noqa: PTH112  unlike Path's, it never raises
            yield image
        else:
            yield from _pictures_in(Path(image))


def _pictures_in(folder: Path) -> Iterator[Path | Prediction]:
    """What training would take as a photo, or the row of a folder that holds none."""
    try:
        names = [name for name in read_tree(folder).files if why_not_photo(name) is None]
    except StorageError as error:
        yield Prediction(str(folder), error=error.message)
        return
    if not names:
        yield Prediction(str(folder), error="a folder without pictures (JPEG, PNG, WebP, BMP, GIF or TIFF)")
    yield from (folder / name for name in names)
