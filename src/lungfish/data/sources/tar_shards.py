"""Open WebDataset tar shards, whose members are read in any order, by offset."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lungfish.core import space
from lungfish.core.cache import cache_folder
from lungfish.core.errors import LungfishError, UnreadablePhotoError
from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.data.sources.assembly import ListedPhoto, Listing, assemble, check_count
from lungfish.data.sources.copies import plan_copies
from lungfish.data.sources.directory import Directory, LocalDirectory
from lungfish.data.sources.groups import GroupReader, Item
from lungfish.data.sources.shards import splits_of
from lungfish.data.sources.tar_index import read_shard
from lungfish.runtime.prefetch import prefetch

SHARDS_AT_ONCE = 8  # shards that are indexed at once
RUN_BYTES = 8 << 20  # size of the neighbors that are fetched together


def open_tar_shards(directory: Directory, names: Sequence[str]) -> PhotoSet:
    """Return the photos in tar files, in the splits that their names contain (`train*`, `validation*`, `test*`).

    A photo's name is that of its shard, without the suffix, and of its member: `train-000001/0042.jpg`.

    Raises:
        PhotosError: There are no labelled photos, or only some shards are named after splits.
        StorageError: A shard cannot be read.
        DownloadError: A shard cannot be fetched.
    """
    files = sorted(names)
    listing = Listing()
    owners, starts, stops = array("q"), array("q"), array("q")
    labels: dict[str, str] = {}  # one object per class, shared by its photos
    shards = prefetch(partial(read_shard, directory), files, SHARDS_AT_ONCE, SHARDS_AT_ONCE)
    for number, (file, split, shard) in enumerate(zip(files, splits_of(files), shards, strict=True)):
        check_count(len(listing.rows) + len(shard.samples), directory.shown())
        check_count(len(listing.skipped) + len(shard.skipped), directory.shown())
        stem = file.removesuffix(".tar")
        seen: set[str] = set()
        listing.skipped += [replace(each, file=f"{stem}/{each.file}" if each.file else file) for each in shard.skipped]
        for sample in shard.samples:
            name = f"{stem}/{sample.name}"
            if name in seen:
                listing.skipped.append(SkippedFile(name, "listed more than once"))
                continue
            seen.add(name)
            label = labels.setdefault(sample.label, sample.label)
            listing.rows.append(ListedPhoto(name, label, split, None, len(starts)))
            starts.append(sample.start)
            stops.append(sample.stop)
            owners.append(number)
    space.make_room(cache_folder(), 0)
    members = Members(directory, tuple(files), *(np.array(each) for each in (owners, starts, stops)))
    reader = members if isinstance(directory, LocalDirectory) else _fetching(members, listing)
    return assemble(listing, reader, _numeric_order(labels))


@dataclass(frozen=True)
class Members:
    """Reads members of tar files. Thread-safe and picklable.

    Args:
        directory: Directory of the files.
        files: Names of the tars.
        owners: int64, tar of each photo.
        starts: int64, position of each photo's first byte.
        stops: int64, position after each photo's last byte.
    """

    directory: Directory
    files: tuple[str, ...]
    owners: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    def __call__(self, photo: Photo) -> bytes:
        row = photo.row
        start, stop = int(self.starts[row]), int(self.stops[row])
        try:
            data = self.directory.read_range(self.files[self.owners[row]], start, stop)
        except LungfishError as error:
            raise UnreadablePhotoError(error.message) from None
        if len(data) < stop - start:
            raise UnreadablePhotoError("its tar has become shorter since it was listed")
        return data


@dataclass(frozen=True)
class Runs:
    """Runs of neighbors in remote tars, each fetched as a whole.

    Args:
        members: Photos.
        firsts: int64, first photo of each run.
    """

    members: Members
    firsts: NDArray[np.int64]

    def find(self, row: int) -> tuple[int, int]:
        run = int(np.searchsorted(self.firsts, row, "right")) - 1
        return run, row - int(self.firsts[run])

    def load(self, group: int) -> Sequence[Item]:
        members = self.members
        first = int(self.firsts[group])
        last = int(self.firsts[group + 1]) if group + 1 < len(self.firsts) else len(members.starts)
        start = int(members.starts[first])
        data = memoryview(
            members.directory.read_range(members.files[members.owners[first]], start, int(members.stops[last - 1]))
        )
        places = zip(members.starts[first:last] - start, members.stops[first:last] - start, strict=True)
        return [_cut(data, int(begin), int(end)) for begin, end in places]


def _cut(data: memoryview, start: int, stop: int) -> Item:
    if stop > len(data):
        return UnreadablePhotoError("its tar has become shorter since it was listed")
    return bytes(data[start:stop])


def _fetching(members: Members, listing: Listing) -> Callable[[Photo], bytes]:
    total = int((members.stops - members.starts).sum())
    stamps = [members.directory.stamp(file) for file in members.files]
    copies = plan_copies([stamps, RUN_BYTES], total, listing, "each is fetched again whenever it is read")
    if copies is None:
        return members
    return GroupReader(Runs(members, _firsts(members)), copies)


def _firsts(members: Members) -> NDArray[np.int64]:
    """Return the first photo of each run; a run ends with its tar, or before it exceeds `RUN_BYTES`."""
    firsts: list[int] = []
    for row, (owner, stop) in enumerate(zip(members.owners, members.stops, strict=True)):
        if not firsts or owner != members.owners[firsts[-1]] or stop - members.starts[firsts[-1]] > RUN_BYTES:
            firsts.append(row)
    return np.array(firsts, np.int64)


def _numeric_order(labels: Iterable[str]) -> list[str]:
    """Return labels sorted by value if all are numbers (then index and number agree if none is missing); else []."""
    return sorted(labels, key=lambda text: (int(text), text)) if all(text.isdecimal() for text in labels) else []
