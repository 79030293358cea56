"""Hugging Face image parquet: the bytes of the photos lie in the table itself."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lungfish.core.errors import MissingExtraError, PhotosError, UnreadablePhotoError
from lungfish.core.names import printable
from lungfish.data.photos import Photo, PhotoSet, Skipped
from lungfish.data.sources.assembly import SPLIT_NAMES, Listing, Row, assemble, split_named
from lungfish.data.sources.tree import unreadable_folder

# Row groups held in memory: neighbors that several threads read at once, and no more.
GROUPS_HELD = 3


def holds_images(path: Path) -> bool:
    """Whether a Parquet file holds pictures themselves (a struct with `bytes`) and not only their paths."""
    return _image_column(_open(path).schema_arrow) is not None


def open_image_parquet(paths: Sequence[Path]) -> PhotoSet:
    """The photos in one Parquet file, or in several named after their splits (`train*`, `validation*`, `test*`).

    A photo's name is its file's stem and its row, `train/00012`.

    Raises:
        PhotosError: no images, no labels, files that disagree on the classes or are only partly named after splits.
        StorageError: a file may not be read.
        MissingExtraError: pyarrow is not installed.
    """
    files = sorted(paths)
    splits = _splits_of(files)
    listing = Listing()
    order: list[str] | None = None
    starts = [0]
    images: list[str] = []
    for path, split in zip(files, splits, strict=True):
        schema = _open(path).schema_arrow
        image = _image_column(schema)
        if image is None:
            raise PhotosError(f"{printable(path.name)} has no column of images", "Give a Hugging Face image dataset.")
        label, names = _label_column(schema, path)
        if order is not None and names != order:
            raise PhotosError(f"{printable(path.name)} names other classes than {printable(files[0].name)}")
        order = names
        images.append(image)
        starts.append(starts[-1] + _list_rows(listing, path, (label, names), split, starts[-1]))
    return assemble(listing, ParquetReader(files, images, starts[:-1]), order or ())


def read_columns(path: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """Those of the named columns that the file has, as lists; names compare in lower case."""
    file = _open(path)
    present = [column for column in file.schema_arrow.names if column.lower() in names]
    table = file.read(columns=present)
    return {column.lower(): table.column(column).to_pylist() for column in present}


class ParquetReader:
    """Reads photos by row, one row group at a time; the last few groups stay in memory.

    Reading in order touches each row group once; a row far away costs its whole group.

    Args:
        files: Parquet files.
        images: the image column of each.
        starts: the global number of each file's first row.
    """

    def __init__(self, files: Sequence[Path], images: Sequence[str], starts: Sequence[int]) -> None:
        self._files = [_open(path) for path in files]
        self._images = list(images)
        self._starts = list(starts)
        self._group_starts = [_group_starts(file) for file in self._files]
        self._held: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, photo: Photo) -> bytes:
        number = bisect_right(self._starts, photo.row) - 1
        row = photo.row - self._starts[number]
        group = bisect_right(self._group_starts[number], row) - 1
        try:
            column = self._group(number, group)
        except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
            raise UnreadablePhotoError(f"cannot be read: {str(error).splitlines()[0]}") from None
        value = column[row - self._group_starts[number][group]].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            raise UnreadablePhotoError("the row holds no picture")
        return bytes(data)

    def _group(self, number: int, group: int) -> Any:
        with self._lock:
            key = number, group
            if key not in self._held:
                while len(self._held) >= GROUPS_HELD:
                    self._held.popitem(last=False)
                name = self._images[number]
                self._held[key] = self._files[number].read_row_group(group, columns=[name]).column(name)
            self._held.move_to_end(key)
            return self._held[key]


def _list_rows(listing: Listing, path: Path, label: tuple[str, list[str]], split: str | None, start: int) -> int:
    """Add the rows of one file; returns how many it has, unlabelled ones included."""
    column, names = label
    columns = read_columns(path, (column.lower(), "split", "group"))
    labels = columns[column.lower()]
    digits = len(str(max(len(labels) - 1, 0)))
    for i, value in enumerate(labels):
        name = f"{path.stem}/{i:0{digits}d}"
        if value is None or (names and not 0 <= value < len(names)):
            listing.skipped.append(Skipped(name, "no label"))
            continue
        own = columns["split"][i] if "split" in columns else None
        group = columns["group"][i] if "group" in columns else None
        listing.rows.append(
            Row(
                name,
                names[value] if names else str(value).strip(),
                split or split_named("" if own is None else str(own), f"{printable(path.name)}, row {i + 1}"),
                None if group is None else str(group),
                start + i,
            )
        )
    return len(labels)


def _splits_of(files: Sequence[Path]) -> list[str | None]:
    if len(files) == 1:
        return [None]
    longest_first = sorted(SPLIT_NAMES, key=len, reverse=True)
    prefixes = [next((p for p in longest_first if file.name.lower().startswith(p)), None) for file in files]
    unnamed = [printable(file.name) for file, prefix in zip(files, prefixes, strict=True) if prefix is None]
    if unnamed and len(unnamed) < len(files):
        raise PhotosError(
            f"some Parquet files are named after splits and some are not: {', '.join(unnamed[:5])}",
            "Name them train*, validation* and test*, or give one file.",
        )
    return [prefix and SPLIT_NAMES[prefix] for prefix in prefixes]


def _image_column(schema: Any) -> str | None:
    import pyarrow as pa

    images = [
        field.name
        for field in schema
        if (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
        or pa.types.is_binary(field.type)
        or pa.types.is_large_binary(field.type)
    ]
    return "image" if "image" in images else next(iter(images), None)


def _label_column(schema: Any, path: Path) -> tuple[str, list[str]]:
    """The label column and the class names of its integers; no names if it holds the names themselves."""
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = metadata.get("info", {}).get("features", {})
    named = {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }
    column = "label" if "label" in schema.names else next(iter(named), None)
    if column is None or column not in schema.names:
        raise PhotosError(
            f"{printable(path.name)} has no column label (it has: {', '.join(map(printable, schema.names))})",
            "Name the column of labels 'label'.",
        )
    return column, [str(name) for name in named.get(column, [])]


def _group_starts(file: Any) -> list[int]:
    starts = [0]
    for group in range(file.metadata.num_row_groups - 1):
        starts.append(starts[-1] + file.metadata.row_group(group).num_rows)
    return starts


def _open(path: Path) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("reading Parquet needs pyarrow", "pip install 'lungfish[train]'") from error
    try:
        return parquet.ParquetFile(path, pre_buffer=False)
    except pa.ArrowInvalid as error:
        raise PhotosError(f"{printable(path.name)} is not a Parquet file: {error}") from error
    except OSError as error:
        raise unreadable_folder(path, error) from error
