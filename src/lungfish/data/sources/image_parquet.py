"""Open Hugging Face image parquet, in which the table contains the bytes of the photos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import LungfishError, PhotosError, UnreadablePhotoError
from lungfish.core.names import printable
from lungfish.data.photos import PhotoSet, SkippedFile
from lungfish.data.sources.assembly import ListedPhoto, Listing, assemble, check_count, label_text, split_named
from lungfish.data.sources.copies import plan_copies
from lungfish.data.sources.directory import Directory
from lungfish.data.sources.groups import GroupReader, Item
from lungfish.data.sources.parquet_file import MAX_GROUP_BYTES, opened
from lungfish.data.sources.shards import splits_of

MAX_FEATURES_BYTES = 8 << 20  # of JSON that names the classes: 100,000 names of 80 characters


def holds_images(directory: Directory, name: str) -> bool:
    """Return whether a Parquet file contains pictures (a struct with `bytes`) and not only their paths."""
    with opened(directory, name) as table:
        return bool(_image_column(table.schema))


def open_image_parquet(directory: Directory, names: Sequence[str]) -> PhotoSet:
    """Return the photos in one Parquet file, or in several named after their splits (`train*`, `validation*`, `test*`).

    A photo's name is that of its file, without the suffix, and its row: `train/00012`.

    Raises:
        PhotosError: There are no images or no labels, or files disagree on the classes, or only some are named after
            splits.
        StorageError: A file cannot be read.
        DownloadError: A file cannot be fetched.
        MissingExtraError: pyarrow is not installed.
    """
    files = sorted(names)
    listing = Listing()
    order: list[str] | None = None
    start = 0
    tables: list[_Table] = []
    for name, split in zip(files, splits_of(files), strict=True):
        with opened(directory, name) as file:
            check_count(start + file.metadata.num_rows, directory.shown())
            image = _image_column(file.schema)
            if not image:
                raise PhotosError(f"{printable(name)} has no column of images", "Give a Hugging Face image dataset.")
            label, classes = _label_column(file.schema, name)
            if order is not None and classes != order:
                raise PhotosError(f"{printable(name)} has different class names from {printable(files[0])}")
            order = classes
            tables.append(_Table(name, image, file.metadata))
            tables[-1].check_groups()
            columns = file.columns((label.lower(), "split", "group"))
        _list_rows(listing, columns, _Listed(name, label.lower(), classes, split, start))
        start += tables[-1].metadata.num_rows
    return assemble(listing, _reader(directory, tables, listing), order or ())


def read_columns(directory: Directory, name: str, wanted: Sequence[str]) -> dict[str, list[Any]]:
    """Return those of the wanted columns that exist, as lists; names are compared in lower case.

    Raises:
        LungfishError: The file cannot be read, or exceeds a limit.
    """
    with opened(directory, name) as table:
        return table.columns(wanted)


@dataclass(frozen=True)
class _Table:
    """A Parquet file.

    Args:
        name: Name of the file.
        image: Column of bytes, in pyarrow's notation for the inside of a struct.
        metadata: Footer of the file.
    """

    name: str
    image: str
    metadata: Any

    def groups(self) -> Iterator[Any]:
        return (self.metadata.row_group(i) for i in range(self.metadata.num_row_groups))

    def image_bytes(self) -> int:
        """Return the approximate size of all pictures, including the other columns, which are small in comparison."""
        return sum(_bytes(group) for group in self.groups())

    def check_groups(self) -> None:
        """Raise `PhotosError` if the declared size of a row group exceeds `MAX_GROUP_BYTES`."""
        for number, group in enumerate(self.groups()):
            if (bytes_ := _bytes(group)) > MAX_GROUP_BYTES:
                raise PhotosError(
                    f"{printable(self.name)}: the pictures of row group {number} take {bytes_:,} bytes;"
                    f" at most {MAX_GROUP_BYTES:,} are read together",
                    "Write the file again with fewer rows in each group: write_table(..., row_group_size=100).",
                )


def _bytes(group: Any) -> int:
    """Return the declared size of a row group. Accessing a damaged column would crash pyarrow and the process."""
    return max(int(group.total_byte_size), 0)


@dataclass(frozen=True)
class _Listed:
    """What is known of a file before its rows are listed."""

    file: str
    label: str
    classes: list[str]
    split: str | None
    start: int


@dataclass(frozen=True)
class RowGroups:
    """The row groups of Parquet files, one after the other.

    Args:
        directory: Directory of the files.
        tables: Files.
        starts: int64, first row of each group, counted over all files.
        first_groups: Number of each file's first group, counted over all files.
    """

    directory: Directory
    tables: tuple[_Table, ...]
    starts: NDArray[np.int64]
    first_groups: NDArray[np.int64]

    def find(self, row: int) -> tuple[int, int]:
        group = int(np.searchsorted(self.starts, row, "right")) - 1
        return group, row - int(self.starts[group])

    def load(self, group: int) -> Sequence[Item]:
        number = int(np.searchsorted(self.first_groups, group, "right")) - 1
        table = self.tables[number]
        try:
            with opened(self.directory, table.name, table.metadata) as file:
                pictures = file.pictures(group - int(self.first_groups[number]), table.image)
        except LungfishError:
            raise
        except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
            raise UnreadablePhotoError(f"cannot be read: {str(error).partition(chr(10))[0]}") from None
        missing = UnreadablePhotoError("the row holds no picture")
        return [missing if picture is None else picture for picture in pictures]


def _reader(directory: Directory, tables: Sequence[_Table], listing: Listing) -> GroupReader:
    rows = [group.num_rows for table in tables for group in table.groups()]
    starts = np.array([0, *accumulate(rows)][: len(rows)], np.int64)
    counts = [table.metadata.num_row_groups for table in tables]
    groups = RowGroups(directory, tuple(tables), starts, np.array([0, *accumulate(counts)][:-1], np.int64))
    needed_bytes = sum(table.image_bytes() for table in tables)
    identity = [[directory.stamp(table.name), table.image] for table in tables]
    copies = plan_copies(identity, needed_bytes, listing, "reading them in random order is slow")
    return GroupReader(groups, copies)


def _list_rows(listing: Listing, columns: dict[str, list[Any]], listed: _Listed) -> None:
    labels, classes = columns[listed.label], listed.classes
    digits = len(str(max(len(labels) - 1, 0)))
    stem = listed.file.removesuffix(".parquet")
    for i, value in enumerate(labels):
        name = f"{stem}/{i:0{digits}d}"
        sound = 0 <= value < len(classes) if classes and value is not None else label_text(value)
        if not sound:
            listing.skipped.append(SkippedFile(name, "no label"))
            continue
        own = columns["split"][i] if "split" in columns else None
        group = columns["group"][i] if "group" in columns else None
        listing.rows.append(
            ListedPhoto(
                name,
                classes[value] if classes else label_text(value),
                listed.split or split_named("" if own is None else str(own), f"{printable(listed.file)}, row {i + 1}"),
                None if group is None else str(group),
                listed.start + i,
            )
        )


def _image_column(schema: Any) -> str:
    """Return the column of pictures, in pyarrow's notation for the bytes; empty if there is none."""
    import pyarrow as pa

    images = {}
    for field in schema:
        is_struct = pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        content = field.type.field("bytes").type if is_struct else field.type
        if pa.types.is_binary(content) or pa.types.is_large_binary(content):
            images[field.name] = f"{field.name}.bytes" if is_struct else field.name
    return images.get("image") or next(iter(images.values()), "")


def _label_column(schema: Any, file: str) -> tuple[str, list[str]]:
    """Return the label column and the class names of its integers; [] if the labels are themselves names."""
    import pyarrow as pa

    named = {}
    written = (schema.metadata or {}).get(b"huggingface", b"{}")
    if len(written) > MAX_FEATURES_BYTES:
        raise PhotosError(
            f"{printable(file)} describes its columns in {len(written):,} bytes of JSON; at most"
            f" {MAX_FEATURES_BYTES:,} are allowed"
        )
    # untrusted: may be anything
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        features = json.loads(written)["info"]["features"]
        named = {
            name: feature["names"]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    column = "label" if "label" in schema.names else next(iter(named), None)
    if column is None or column not in schema.names:
        raise PhotosError(
            f"{printable(file)} has no column label (it has: {', '.join(map(printable, schema.names))})",
            "Name the column of labels 'label'.",
        )
    are_numbers = pa.types.is_integer(schema.field(column).type)
    return column, [str(name) for name in named.get(column, [])] if are_numbers else []
