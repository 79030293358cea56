"""Choose the source that a path holds."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.photos import PhotoSet
from lungfish.data.sources.folders import open_folder
from lungfish.data.sources.image_parquet import holds_images, open_image_parquet
from lungfish.data.sources.tables import open_table
from lungfish.data.sources.tree import Tree, read_tree, suffix_of

LAYOUTS = (
    "Give a folder of class folders, a CSV or Parquet with columns image and label, or Hugging Face image parquet."
)


def open_photos(path: str | os.PathLike[str]) -> PhotoSet:
    """List the photos under `path`; nothing is decoded yet.

    Args:
        path: a folder of class folders, a folder of `train`, `val|validation|valid` and `test` folders of class
            folders, a CSV or Parquet file with columns `image` and `label` (`split` and `group` if there), or Hugging
            Face image parquet: one file, or a folder of files named `train*`, `validation*`, `test*`, or a checkout
            that holds such a folder.

    Raises:
        PhotosError: there is no such place, or what it holds cannot be used; the message says why.
        StorageError: a folder or table may not be read.
        MissingExtraError: Parquet without pyarrow.
    """
    source = Path(path)
    shown = printable(str(path))
    try:
        is_folder = source.is_dir()
        exists = source.exists()
    except OSError as error:  # a name that is too long, a loop of links
        raise PhotosError(f"cannot open {shown}: {os.strerror(error.errno or errno.EINVAL)}", LAYOUTS) from error
    if not exists:
        raise PhotosError(f"no such folder: {shown}", LAYOUTS)
    if is_folder:
        return _open_folder(source)
    if source.suffix.lower() == ".parquet":
        return open_image_parquet([source]) if holds_images(source) else open_table(source)
    if source.suffix.lower() == ".csv":
        return open_table(source)
    raise PhotosError(f"not a folder, a CSV or a Parquet file: {shown}", LAYOUTS)


def _open_folder(folder: Path) -> PhotoSet:
    tree = read_tree(folder)
    parquet = [] if tree.photos else _parquet_of(tree)
    return open_image_parquet([folder / name for name in parquet]) if parquet else open_folder(folder, tree)


def _parquet_of(tree: Tree) -> list[str]:
    """The Parquet files at the top, else those of the one folder that holds any, such as a checkout's `data`.

    Raises:
        PhotosError: several folders hold some.
    """
    files = [name for name in tree.files if suffix_of(name) == ".parquet"]
    folders = sorted({str(PurePosixPath(name).parent) for name in files})
    if "." in folders:
        return [name for name in files if "/" not in name]
    if len(folders) > 1:
        raise PhotosError(
            f"{plural(len(folders), 'folder')} of Parquet files: {', '.join(map(printable, folders[:10]))}",
            "Give one of them.",
        )
    return files
