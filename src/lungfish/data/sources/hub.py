"""Data sets of the Hugging Face hub, through its library `datasets`: downloaded once, then memory-mapped.

No code of a data set is ever run: `datasets` does not from version 4 on, and older ones do not satisfy the extra.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.core.errors import DownloadError, LungfishError, PhotosError, StorageError, UnreadablePhotoError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.data.photos import Photo, PhotoSet, Skipped
from lungfish.data.sources.assembly import SPLIT_NAMES, Listing, Row, assemble
from lungfish.data.sources.remote import open_place
from lungfish.data.sources.tar_shards import open_tar_shards
from lungfish.runtime.decode import read_photo

SCHEME = "hf:"
MISSING = ("DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError")
LAYOUTS = ("parquet", "arrow", "imagefolder", "webdataset")
CACHED = "cache"  # downloaded before, while the hub cannot be asked
FORM = "hf:OWNER/NAME, hf:OWNER/NAME@REVISION, hf:OWNER/NAME:CONFIG or hf:OWNER/NAME@REVISION:CONFIG"
_NAME = re.compile(
    r"hf:(?P<repository>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?(:(?P<config>[\w. +=,-]+))?", re.ASCII
)


@dataclass(frozen=True)
class HubData:
    """`hf:OWNER/NAME[@REVISION][:CONFIG]`; empty texts for what was left out."""

    repository: str
    revision: str = ""
    config: str = ""


def is_hub_name(text: str) -> bool:
    """Whether a name of photos is one on the hub; `hf://` is an address, which fsspec opens."""
    return text.startswith(SCHEME) and not text.startswith("hf://")


def parse_hub_name(text: str) -> HubData:
    """Take apart a name on the hub. Raises `PhotosError`."""
    match = _NAME.fullmatch(text)
    if match is None or ".." in text:
        raise PhotosError(f"{printable(text)!r} is no data set on the Hugging Face hub", f"Write {FORM}.")
    return HubData(match["repository"], match["revision"] or "", match["config"] or "")


def open_hub(text: str) -> PhotoSet:
    """The labelled photos of a data set, in the splits that it has.

    The first time it is downloaded into the hub's own cache (`HF_HOME`) and unpacked there; `HF_ENDPOINT`, `HF_TOKEN`
    and `HF_HUB_OFFLINE` are honoured. A photo's name is its split and row: `train/00012`.

    Raises:
        PhotosError: no such data set, several configurations and none named, no pictures or no labels.
        DownloadError: the hub cannot be asked.
        StorageError: the disk is full.
        MissingExtraError: datasets is not installed.
    """
    with _explained(text):
        found = _find(parse_hub_name(text))
        if found.kind == "webdataset":
            place = open_place(found.address)
            return open_tar_shards(place, [name.removeprefix(found.address + "/") for name in found.files])
        parts = _download(found.builder)
    return _assemble(parts)


def _assemble(parts: Mapping[str, Any]) -> PhotoSet:
    """All splits that are meant for training, validation or test and have labels."""
    listing = Listing()
    order: Sequence[str] = ()
    tables: list[_Table] = []
    for split, data in parts.items():
        side = SPLIT_NAMES.get(split.lower()) if len(parts) > 1 else None
        table = _Table(split, data, side, sum(len(each.data) for each in tables))
        if len(parts) > 1 and side is None:
            listing.warnings.append(f"the split {printable(split)} is left out: it is not train, validation or test")
        elif not table.list_rows(listing):
            listing.warnings.append(f"the split {printable(split)} is left out: it has no labels")
        else:
            order = order or table.classes
            tables.append(table)
    return assemble(listing, HubReader(tables), order)


@dataclass(frozen=True)
class _Table:
    """A split.

    Args:
        split: its name.
        data: a `datasets.Dataset`.
        side: train, val or test; None if it is the only split.
        start: the number of its first row.
    """

    split: str
    data: Any
    side: str | None
    start: int

    @property
    def classes(self) -> list[str]:
        """The names of its integer labels; empty if it holds names."""
        return list(getattr(self.data.features[self._label], "names", ()))

    @property
    def image(self) -> str:
        """The column of pictures. Raises `PhotosError`."""
        return self._column("image", "Image", "pictures")

    @property
    def _label(self) -> str:
        return self._column("label", "ClassLabel", "labels")

    def list_rows(self, listing: Listing) -> bool:
        """Add the rows; False, and nothing added, if none has a label."""
        self.image  # noqa: B018  an error here is clearer than one while reading
        classes, start = self.classes, self.start
        labels = self.data.data.column(self._label).to_pylist()
        sound = [value is not None and (not classes or 0 <= value < len(classes)) for value in labels]
        if not any(sound):
            return False
        digits = len(str(len(labels) - 1))
        for i, (value, is_sound) in enumerate(zip(labels, sound, strict=True)):
            name = f"{self.split}/{i:0{digits}d}"
            if is_sound:
                label = classes[value] if classes else str(value).strip()
                listing.rows.append(Row(name, label, self.side, None, start + i))
            else:
                listing.skipped.append(Skipped(name, "no label"))
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
    """Reads photos by row from memory-mapped tables. Thread-safe, and can be pickled."""

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
        """Whether it is a file that was downloaded: a data set must not name others of this machine."""
        real = os.path.realpath(path)
        return any(Path(real).is_relative_to(os.path.realpath(folder)) for folder in self._folders)


@dataclass(frozen=True)
class _Found:
    """A data set on the hub.

    Args:
        address: of its files, at the commit that the hub told.
        builder: of `datasets`, not yet downloaded.
    """

    address: str
    builder: Any

    @property
    def kind(self) -> str:
        """Of its files, one of `LAYOUTS`; or `CACHED`."""
        return str(self.builder.info.builder_name)

    @property
    def files(self) -> list[str]:
        return [str(file) for files in self.builder.config.data_files.values() for file in files]


def _find(name: HubData) -> _Found:
    try:
        import datasets
        from huggingface_hub import HfApi, constants
    except ModuleNotFoundError as error:
        raise missing_extra(error, "the Hugging Face hub's data sets", "datasets") from None
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    # a commit says what is trained on, and spares a question to the hub's viewer, which mirrors do not have
    revision = name.revision or None
    if not constants.is_offline_mode():
        revision = HfApi().dataset_info(name.repository, revision=revision).sha
    # in this form, a local folder of the same name is not taken instead
    path = f"hf://datasets/{name.repository}"
    with _nothing_told(datasets.config):
        builder = datasets.load_dataset_builder(path, name.config or None, revision=revision)
    found = _Found(f"{path}@{revision}", builder)
    if found.kind not in (*LAYOUTS, CACHED):
        raise PhotosError(
            f"hf:{name.repository} holds {printable(found.kind)} files, not photos",
            f"Of data sets on the hub, those made of {', '.join(LAYOUTS)} files are read.",
        )
    return found


def _download(builder: Any) -> Mapping[str, Any]:
    import datasets

    with _nothing_told(datasets.config):
        builder.download_and_prepare()
        parts: Mapping[str, Any] = builder.as_dataset()
    return parts


@contextmanager
def _nothing_told(config: Any) -> Iterator[None]:
    """`datasets` counts what is loaded, and tells the hub which frameworks are installed."""
    settings = ("HF_UPDATE_DOWNLOAD_COUNTS", "TORCH_AVAILABLE", "TF_AVAILABLE", "JAX_AVAILABLE")
    before = {name: getattr(config, name) for name in settings}
    try:
        for name in settings:
            setattr(config, name, False)
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


@contextmanager
def _explained(text: str) -> Iterator[None]:
    """Turn whatever the library raises into an error that names the data set."""
    shown = printable(text)
    try:
        yield
    except LungfishError:
        raise
    except Exception as error:
        reason = printable(str(error).strip().partition("\n")[0])
        if isinstance(error, OSError) and (error.errno == errno.ENOSPC or "disk space" in reason):
            raise StorageError(f"no room for {shown}: {reason}", "Free some disk space, or set HF_HOME.") from error
        if type(error).__name__ in MISSING:
            hint = "Check the spelling; if it is yours to read, accept its terms on its page and set HF_TOKEN."
            raise PhotosError(f"no data set {shown}, or it is private or gated", hint) from error
        if isinstance(error, ValueError | RuntimeError):  # several configurations, a script, no data files
            raise PhotosError(f"{shown} cannot be used: {printable(str(error))[:1000]}", f"Write {FORM}.") from error
        raise DownloadError(
            f"cannot load {shown}: {type(error).__name__}: {reason}",
            "Check the connection; HF_ENDPOINT names a mirror.",
        ) from error
