"""Classify pictures: files, folders of files, bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lungfish.core.errors import StorageError
from lungfish.core.progress import Progress
from lungfish.runtime.bundle import Bundle, as_items
from lungfish.runtime.prediction import Prediction
from lungfish.runtime.preprocessing import Picture
from lungfish.workflows.load import load


def predict(
    model: str | Path | Bundle,
    images: Picture | Iterable[Picture],
    artifact: str | None = None,
    top: int = 5,
    *,
    follow_links: bool = False,
) -> list[Prediction]:
    """Classify pictures with a bundle.

    Args:
        model: A bundle, its folder, or a name of weights: `efficientnet_lite0.in1k`.
        images: One picture or several, as for `Bundle.predict`: paths of files, bytes of files, Pillow images, or
            arrays; or paths of folders. A folder is searched recursively; files whose suffix is that of a picture, or
            that have no suffix, are classified in order of their names.
        artifact: File name of an artifact; the default one if `None`.
        top: Number of classes to list in each row.
        follow_links: Whether to follow links that lead outside a folder.

    Returns:
        One row for each picture, in order. Unreadable pictures and folders without pictures have an `error`.

    Raises:
        UsageError: The bundle, the weights or the artifact does not exist.
        BundleError: The bundle differs from its manifest.

    Examples:
        >>> import lungfish as lf
        >>> for row in lf.predict("shoes/", ["a.jpg", "more/"]):
        ...     print(row.file, row.label, row.probability)
        a.jpg boot 0.93
        more/1.jpg sandal 0.88
    """
    return list(predict_each(model, images, artifact, top, follow_links=follow_links))


def predict_each(
    model: str | Path | Bundle,
    images: Picture | Iterable[Picture],
    artifact: str | None = None,
    top: int = 5,
    progress: Progress | None = None,
    *,
    follow_links: bool = False,
) -> Iterator[Prediction]:
    """Yield the rows of `predict` one at a time; memory does not grow with the number of pictures.

    Args:
        progress: Receives the progress of fetching and exporting weights at their first use; silent if None.
    """
    pictures = _pictures(images, follow_links)
    bundle = model if isinstance(model, Bundle) else load(model, progress)
    return bundle.predict_each(pictures, artifact, top, in_batches=True)


def _pictures(images: Picture | Iterable[Picture], follow_links: bool) -> Iterator[Picture | Prediction]:
    for image in as_items(images):
        if isinstance(image, str | Path) and os.path.isdir(image):  # noqa: PTH112  never raises, unlike Path's
            yield from _pictures_in(Path(image), follow_links)
        else:
            yield image


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
