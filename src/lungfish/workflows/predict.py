"""Labels for pictures: files, folders of files, bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lungfish.core.errors import PhotosError, UsageError
from lungfish.core.names import printable
from lungfish.data.sources.tree import read_tree
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.prediction import Prediction
from lungfish.workflows.open_bundle import open_bundle


def predict(
    model: str | Path, images: Iterable[str | Path | bytes], artifact: str | None = None, top: int = 5
) -> list[Prediction]:
    """Classify pictures with a bundle.

    Args:
        model: a bundle's folder.
        images: paths of files, of folders (their pictures, deeper ones too, in the order of their names), or the
            bytes of files.
        artifact: a file name of the bundle; its default artefact if `None`.
        top: how many classes to list in each row.

    Returns:
        One row for each picture, in order; one that cannot be read has `error`.

    Raises:
        UsageError: no such bundle or artefact.
        BundleError: the bundle is not what its manifest says.
        PhotosError: a folder without pictures.
    """
    return list(predict_each(model, images, artifact, top))


def predict_each(
    model: str | Path, images: Iterable[str | Path | bytes], artifact: str | None = None, top: int = 5
) -> Iterator[Prediction]:
    """As `predict`, one row at a time, in memory that does not grow with the number of pictures."""
    return open_model(model).predict_each(_pictures(images), artifact, top)


def open_model(model: str | Path) -> Bundle:
    """The bundle that `model` names.

    Raises:
        UsageError: not a folder.
        BundleError: not a sound bundle.
    """
    if not Path(model).exists():
        raise UsageError(
            f"no bundle at {printable(str(model))}",
            "Give the folder that lungfish train wrote; names of pretrained weights cannot be used here yet.",
        )
    return open_bundle(model)


def _pictures(images: Iterable[str | Path | bytes]) -> Iterator[str | Path | bytes]:
    for image in images:
        if isinstance(image, bytes) or not Path(image).is_dir():
            yield image
            continue
        folder = Path(image)
        names = read_tree(folder).photos
        if not names:
            raise PhotosError(
                f"no pictures in {printable(str(folder))}", "JPEG, PNG, WebP, BMP, GIF and TIFF files are looked for."
            )
        yield from (folder / name for name in names)
