"""Labels for pictures: files, folders of files, bytes."""

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
        model: a bundle's folder, or the name of a set of weights: `efficientnet_lite0.in1k`.
        images: paths of files, of folders (their pictures, deeper ones too, in the order of their names; those are
            the files that training would take, by suffix or without any), or the bytes of files.
        artifact: a file name of the bundle; its default artifact if `None`.
        top: how many classes to list in each row.
        follow_links: also follow links that lead outside a folder.

    Returns:
        One row for each picture, in order; one that cannot be read has `error`, and so has a folder without pictures.

    Raises:
        UsageError: no such bundle, set of weights or artifact.
        BundleError: the bundle is not what its manifest says.
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
    """As `predict`, one row at a time, in memory that does not grow with the number of pictures.

    Args:
        progress: told of the fetch and export that the first use of a set of weights needs; silent if None.
    """
    pictures = _pictures(images, follow_links)
    return open_model(model, progress or Progress()).predict_each(pictures, artifact, top, in_batches=True)


def open_model(model: str | Path, progress: Progress) -> Bundle:
    """The bundle that `model` names, or the one made of the set of weights of that name.

    Raises:
        UsageError: neither a folder nor a set of weights.
        LicenseError: the license of the weights was not accepted.
        BundleError: not a sound bundle.
        MachineError: the weights cannot be fetched or exported.
    """
    if os.path.exists(model):  # noqa: PTH110  unlike Path's, it never raises
        return open_bundle(model)
    from lungfish.workflows.published_bundle import published_bundle

    try:
        return open_bundle(published_bundle(str(model), progress))
    except UnknownNameError as error:
        raise UsageError(
            f"no bundle or weights called {printable(str(model))}",
            f"{error.hint} Or give the folder that lungfish train wrote.",
        ) from None


def _pictures(images: Iterable[str | Path | bytes], follow_links: bool) -> Iterator[str | Path | bytes | Prediction]:
    for image in images:
        if isinstance(image, bytes) or not os.path.isdir(image):  # noqa: PTH112  unlike Path's, it never raises
            yield image
        else:
            yield from _pictures_in(Path(image), follow_links)


def _pictures_in(folder: Path, follow_links: bool) -> Iterator[Path | Prediction]:
    """What training would take as a photo; the rows of links that are not followed, or of a folder without photos."""
    from lungfish.data.sources.tree import LINK_OUT, read_tree, why_not_photo  # a single photo need not wait for it

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
