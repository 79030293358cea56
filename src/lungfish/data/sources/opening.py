"""Choose the source for a path, an address or the name of a dataset."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

from lungfish.core.errors import PhotosError
from lungfish.core.names import printable
from lungfish.data.photos import PhotoSet
from lungfish.data.sources.directory import Directory, LocalDirectory
from lungfish.data.sources.folders import open_folder
from lungfish.data.sources.hub import open_hub
from lungfish.data.sources.hub_library import is_hub_name, parse_hub_name
from lungfish.data.sources.image_parquet import holds_images, open_image_parquet
from lungfish.data.sources.remote import is_address, open_directory
from lungfish.data.sources.shards import expand, is_pattern, shards_of
from lungfish.data.sources.tables import open_table
from lungfish.data.sources.tar_shards import open_tar_shards
from lungfish.data.sources.tree import Tree, suffix_of

LAYOUTS = (
    "Give a folder of class folders, a CSV or Parquet with columns image and label, Hugging Face image parquet,"
    " WebDataset tar shards, hf:OWNER/NAME, or an address such as s3://BUCKET/FOLDER."
)
FILES = (".csv", ".parquet", ".tar")


def open_photos(photos: str | os.PathLike[str], *, follow_links: bool = False) -> PhotoSet:
    """List photos, without decoding them.

    Args:
        photos: Path, also with `file://`; address that fsspec opens, `s3://bucket/photos`; or dataset of the Hugging
            Face hub, `hf:OWNER/NAME[@REVISION][:CONFIG]`. A path or an address may be a folder of class folders; a
            folder of `train`, `val|validation|valid` and `test` folders of class folders; a CSV or Parquet file with
            columns `image` and `label` (optionally `split` and `group`); Hugging Face image parquet or WebDataset tar
            shards: one file, a folder of files named `train*`, `validation*`, `test*`, a checkout with such a folder,
            or a pattern, `train-{000000..000009}.tar`.
        follow_links: Whether to follow links that lead outside the folder; the path itself may always be a link.

    Raises:
        PhotosError: There is no such place, or its contents cannot be used; the message says why.
        StorageError: A folder or table cannot be read.
        DownloadError: A download failed, or its address is not allowed.
        MissingExtraError: A package that the source needs is not installed.

    Examples:
        >>> photos = open_photos("clothing-small")
        >>> photos.labels[:3], len(photos.photos), photos.given_split
        (('dress', 'hat', 'longsleeve'), 3781, True)
    """
    text = _as_path(os.fspath(photos))
    if is_hub_name(text):
        return open_hub(text)
    if text.startswith("pipe:"):
        raise PhotosError(f"{printable(text)} is a command; Lungfish does not run commands", LAYOUTS)
    if is_pattern(text) and (is_address(text) or not Path(text).exists()):
        return _open_pattern(text, follow_links)
    if is_address(text):
        return _open_address(text)
    return _open_path(Path(text), printable(text), follow_links)


def local_path(photos: str | os.PathLike[str]) -> Path | None:
    """Return the local folder or file that `photos` names; None for the hub, an address or a pattern."""
    text = _as_path(os.fspath(photos))
    elsewhere = is_hub_name(text) or is_address(text) or (is_pattern(text) and not Path(text).exists())
    return None if elsewhere else Path(text)


def short_name(photos: str | os.PathLike[str]) -> str:
    """Return a name for photos without a `local_path`: the last meaningful part of their name.

    Returns:
        A file name that is valid on any system, possibly empty.
    """
    text = os.fspath(photos)
    if is_hub_name(text):
        name = parse_hub_name(text).repository.rpartition("/")[2]
    else:
        path = PurePosixPath(text.partition("://")[2] or text)
        if is_pattern(path.name):
            path = path.parent
        name = path.name.removesuffix(path.suffix if path.suffix in FILES else "")
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")


def _as_path(text: str) -> str:
    """Return a `file:` address as a path, so that the same rules apply; other names unchanged.

    Raises:
        PhotosError: The address names a file on another machine.
    """
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in ("file", "local"):
        return text
    host, _, path = rest.partition("/")
    if host not in ("", "localhost"):
        raise PhotosError(
            f"{printable(text)} names a file on another machine, {printable(host)!r}",
            "Write file:///PATH with the absolute path, or the path alone.",
        )
    from urllib.request import url2pathname  # imports http and email, which predict does not need

    return url2pathname(f"/{path}")


def _open_path(path: Path, shown: str, follow_links: bool) -> PhotoSet:
    try:
        is_folder = path.is_dir()
        exists = path.exists()
    except OSError as error:  # such as a name that is too long, or circular links
        raise PhotosError(f"cannot open {shown}: {os.strerror(error.errno or errno.EINVAL)}", LAYOUTS) from error
    if not exists:
        raise PhotosError(f"no such folder: {shown}", LAYOUTS)
    if is_folder:
        return _open_folder(LocalDirectory(path, follow_links))
    return _open_file(LocalDirectory(path.parent, follow_links), path.name)


def _open_address(address: str) -> PhotoSet:
    if suffix_of(address) not in FILES:
        return _open_folder(open_directory(address))
    folder, _, name = address.rpartition("/")
    return _open_file(open_directory(folder), name)


def _open_pattern(pattern: str, follow_links: bool) -> PhotoSet:
    """Open the shards that match a pattern, below the folder that precedes its first range."""
    suffix = suffix_of(pattern)
    if suffix not in (".tar", ".parquet"):
        raise PhotosError(f"{printable(pattern)} matches neither .tar nor .parquet files", LAYOUTS)
    folder = pattern.partition("{")[0].rpartition("/")[0]
    directory: Directory = open_directory(folder) if is_address(folder) else LocalDirectory(Path(folder), follow_links)
    names = expand(pattern.removeprefix(folder).lstrip("/"))
    if isinstance(directory, LocalDirectory):
        directory.check_links(names)
    return open_tar_shards(directory, names) if suffix == ".tar" else open_image_parquet(directory, names)


def _open_file(directory: Directory, name: str) -> PhotoSet:
    suffix = suffix_of(name)
    if suffix == ".parquet" and holds_images(directory, name):
        return open_image_parquet(directory, [name])
    if suffix in (".csv", ".parquet"):
        return open_table(directory, name)
    if suffix == ".tar":
        return open_tar_shards(directory, [name])
    raise PhotosError(f"not a folder, a CSV, a Parquet or a tar file: {directory.shown(name)}", LAYOUTS)


def _open_folder(directory: Directory) -> PhotoSet:
    tree = directory.tree()
    if not tree.photos and (shards := _open_shards(directory, tree)):
        return shards
    try:
        return open_folder(directory, tree)
    except PhotosError as error:
        with suppress(PhotosError):  # shards may come with a few pictures, such as those of a README
            if tree.photos and (shards := _open_shards(directory, tree)):
                return shards
        if links := tree.about_links():
            error.hint += f"\n{links}."
        raise


def _open_shards(directory: Directory, tree: Tree) -> PhotoSet | None:
    """Return the photos in the shards of a folder; None if there are none."""
    for suffix, open_shards in ((".parquet", open_image_parquet), (".tar", open_tar_shards)):
        folder, names = shards_of(tree, suffix)
        if names:
            return open_shards(directory.subdirectory(folder) if folder else directory, names)
    return None
