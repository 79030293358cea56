"""Classify pictures: files, folders of files, bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lungfish.core.errors import StorageError, UnknownNameError, UsageError
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.deploy.open_bundle import open_bundle
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.prediction import Prediction


def predict(
    model: str | Path,
    images: Iterable[str | Path | bytes],
    artifact: str | None = None,
    top: int = 5,
    *,
    follow_links: bool = False,
) -> list[Prediction]:
    """Classify pictures with a bundle.

    Args:
        model: Folder of a bundle, or a name of weights: `efficientnet_lite0.in1k`.
        images: Paths of files, paths of folders, or bytes of files. Of a folder, all files that training would use, by
            suffix or without any, are classified, recursively and in the order of their names.
        artifact: File name of an artifact; the default one if `None`.
        top: Number of classes to list in each row.
        follow_links: Whether to follow links that lead outside a folder.

    Returns:
        One row for each picture, in order. Unreadable pictures and folders without pictures have an `error`.

    Raises:
        UsageError: The bundle, the weights or the artifact do not exist.
        BundleError: The bundle differs from its manifest.

    Example:
        for row in predict("shells-bundle", ["photo.jpg"]):
            print(row.label, row.probability)
    """
    return list(predict_each(model, images, artifact, top, follow_links=follow_links))


def predict_each(
    model: str | Path,
    images: Iterable[str | Path | bytes],
    artifact: str | None = None,
    top: int = 5,
    progress: Progress | None = None,
    *,
    follow_links: bool = False,
) -> Iterator[Prediction]:
    """Do the same as `predict`, one row at a time, in memory that does not grow with the number of pictures.

    Args:
        progress: Receives the progress of fetching and exporting weights at their first use; silent if None.
    """
    pictures = _pictures(images, follow_links)
    return open_model(model, progress or Progress()).predict_each(pictures, artifact, top, in_batches=True)


def open_model(model: str | Path, progress: Progress) -> Bundle:
    """Open the bundle that `model` names, or make one from the weights of that name.

    Raises:
        UsageError: It is neither a folder nor a name of weights.
        LicenseError: The license of the weights was not accepted.
        BundleError: The bundle is damaged.
        MachineError: The weights cannot be fetched or exported.
    """
    if os.path.exists(model):  # noqa: PTH110  never raises, unlike Path's
        return open_bundle(model)
    from lungfish.workflows.published_bundle import published_bundle

    try:
        return open_bundle(published_bundle(str(model), progress))
    except UnknownNameError as error:
        raise UsageError(
            f"no bundle and no set of weights at {printable(str(model))}",
            f"{error.hint} Or give the folder that lungfish train wrote.",
        ) from None


def _pictures(images: Iterable[str | Path | bytes], follow_links: bool) -> Iterator[str | Path | bytes | Prediction]:
    for image in images:
        if isinstance(image, bytes) or not os.path.isdir(image):  # noqa: PTH112  never raises, unlike Path's
            yield image
        else:
            yield from _pictures_in(Path(image), follow_links)


def _pictures_in(folder: Path, follow_links: bool) -> Iterator[Path | Prediction]:
    """Yield the pictures of a folder that training would use, and error rows for skipped links or an empty folder."""
    from lungfish.data.sources.tree import LINK_OUT, read_tree, why_not_photo  # imported only for folders

    try:
        tree = read_tree(folder, follow_links=follow_links)
    except StorageError as error:
        yield Prediction(str(folder), error=error.message)
        return
    for name in tree.links_out:
        yield Prediction(str(folder / name), error=f"{LINK_OUT}: add --follow-links")
    names = [name for name in tree.files if why_not_photo(name) is None]
    if not (names or tree.links_out):
        yield Prediction(str(folder), error="a folder without pictures (JPEG, PNG, WebP, BMP, GIF or TIFF)")
    yield from (folder / name for name in names)
