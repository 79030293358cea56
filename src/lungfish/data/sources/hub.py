"""Read datasets of the Hugging Face hub, downloaded once by `datasets`, from memory-mapped tables."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.core.errors import PhotosError, UnreadablePhotoError
from lungfish.core.names import printable
from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.data.sources.assembly import SPLIT_NAMES, ListedPhoto, Listing, assemble, label_text
from lungfish.data.sources.hub_library import download, find_data, hub_errors, parse_hub_name
from lungfish.data.sources.remote import open_directory
from lungfish.data.sources.tar_shards import open_tar_shards
from lungfish.runtime.decode import read_photo


def open_hub(text: str) -> PhotoSet:
    """Return the labelled photos of a dataset, in its own splits.

    On first use it is downloaded into the hub's own cache (`HF_HOME`) and unpacked there; `HF_ENDPOINT`, `HF_TOKEN` and
    `HF_HUB_OFFLINE` are honored. A photo's name is its split and row: `train/00012`.

    Raises:
        PhotosError: There is no such dataset; or it has no pictures or labels, or several configurations and none is
            named.
        DownloadError: The hub cannot be reached.
        StorageError: The disk is full.
        MissingExtraError: datasets is not installed.
    """
    with hub_errors(text):
        found = find_data(parse_hub_name(text))
        if found.kind == "webdataset":
            directory = open_directory(found.address)
            return open_tar_shards(directory, [name.removeprefix(found.address + "/") for name in found.files])
        parts = download(found.builder)
    return _assemble(parts)


def _assemble(parts: Mapping[str, Any]) -> PhotoSet:
    """Return the photos of all labelled splits for training, validation and testing."""
    listing = Listing()
    order: Sequence[str] = ()
    tables: list[_Table] = []
    for split, data in parts.items():
        standard_split = SPLIT_NAMES.get(split.lower()) if len(parts) > 1 else None
        table = _Table(split, data, standard_split, sum(len(each.data) for each in tables))
        if len(parts) > 1 and standard_split is None:
            listing.warnings.append(f"the split {printable(split)} is skipped: it is not train, validation or test")
        elif not table.list_rows(listing):
            listing.warnings.append(f"the split {printable(split)} is skipped: it has no labels")
        else:
            order = order or table.classes
            tables.append(table)
    return assemble(listing, HubReader(tables), order)


@dataclass(frozen=True)
class _Table:
    """A split of a dataset.

    Args:
        split: Name of the split.
        data: A `datasets.Dataset`.
        standard_split: `train`, `val` or `test`; None if it is the only split.
        start: Number of its first row.
    """

    split: str
    data: Any
    standard_split: str | None
    start: int

    @property
    def classes(self) -> list[str]:
        """Class names of its integer labels; empty if the labels are names."""
        return list(getattr(self.data.features[self._label], "names", ()))

    @property
    def image(self) -> str:
        """Column of pictures. Raises `PhotosError`."""
        return self._column("image", "Image", "pictures")

    @property
    def _label(self) -> str:
        return self._column("label", "ClassLabel", "labels")

    def list_rows(self, listing: Listing) -> bool:
        """Add the rows; if none has a label, add nothing and return False."""
        self.image  # noqa: B018  raise here rather than while reading
        classes, start = self.classes, self.start
        labels = self.data.data.column(self._label).to_pylist()
        sound = [0 <= value < len(classes) if classes and value is not None else label_text(value) for value in labels]
        if not any(sound):
            return False
        digits = len(str(len(labels) - 1))
        for i, (value, is_sound) in enumerate(zip(labels, sound, strict=True)):
            name = f"{self.split}/{i:0{digits}d}"
            if is_sound:
                label = classes[value] if classes else label_text(value)
                listing.rows.append(ListedPhoto(name, label, self.standard_split, None, start + i))
            else:
                listing.skipped.append(SkippedFile(name, "no label"))
        return True

    def _column(self, usual: str, kind: str, what: str) -> str:
        features: Mapping[str, Any] = self.data.features
        named = [name for name, feature in features.items() if type(feature).__name__ == kind]
        if usual in features and (kind != "Image" or usual in named):
            return usual
        if len(named) == 1:
            return named[0]
        raise PhotosError(
            f"the split {printable(self.split)} has {len(named) or 'no'} columns of {what}"
            f" (its columns: {', '.join(map(printable, features))})",
            "Photos are read from one column of images and one of labels, best called image and label.",
        )


class HubReader:
    """Reads photos by row from memory-mapped tables. Thread-safe and picklable."""

    def __init__(self, tables: Sequence[_Table]) -> None:
        import datasets

        self._starts = [table.start for table in tables]
        self._images = [
            table.data.select_columns([table.image]).cast_column(table.image, datasets.Image(decode=False))
            for table in tables
        ]
        self._folders = [Path(datasets.config.HF_CACHE_HOME), Path(datasets.config.HF_DATASETS_CACHE)]

    def __call__(self, photo: Photo) -> bytes:
        number = bisect_right(self._starts, photo.row) - 1
        [value] = self._images[number][photo.row - self._starts[number]].values()
        if value and value["bytes"]:
            return bytes(value["bytes"])
        if value and value["path"] and self._is_cached(value["path"]):
            return read_photo(Path(value["path"]))
        raise UnreadablePhotoError("the row holds no picture")

    def _is_cached(self, path: str) -> bool:
        """Return whether a path is a downloaded file: a dataset must not reach other files on this machine."""
        real = os.path.realpath(path)
        return any(Path(real).is_relative_to(os.path.realpath(folder)) for folder in self._folders)
