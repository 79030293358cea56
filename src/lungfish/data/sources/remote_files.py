"""Fetch photos that are separate files on another machine, several neighbors at a time, with a limit on their size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import DownloadError, UnreadablePhotoError
from lungfish.core.names import printable
from lungfish.data.sources.groups import Item
from lungfish.data.sources.web import WebFiles
from lungfish.runtime.decode import MAX_PHOTO_BYTES

TOGETHER = 32  # neighbors that are fetched at once
TOGETHER_BYTES = 32 << 20
TRIES = 3
BACKOFF_S = 0.5


@dataclass(frozen=True)
class RemoteFiles:
    """Photos in separate files, fetched several neighbors at a time.

    Args:
        system: File system of fsspec, or `WebFiles`.
        root: Path of the folder on the system.
        names: Names in the order of their rows.
        firsts: int64, first row of each run of neighbors.
        sizes: int64, listed sizes in bytes; -1 if unknown.
    """

    system: Any
    root: str
    names: Sequence[str]
    firsts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def find(self, row: int) -> tuple[int, int]:
        run = int(np.searchsorted(self.firsts, row, "right")) - 1
        return run, row - int(self.firsts[run])

    def load(self, group: int) -> Sequence[Item]:
        stop = int(self.firsts[group + 1]) if group + 1 < len(self.firsts) else len(self.names)
        rows = slice(int(self.firsts[group]), stop)
        sizes = self.sizes[rows].tolist()
        names = [name for name, size in zip(self.names[rows], sizes, strict=True) if size]
        wanted = [path_of(self.system, self.root, name) for name in names]
        if isinstance(self.system, WebFiles):
            fetched = fetch(self.system, wanted)
        else:
            # one byte more than expected shows that a file is larger; empty ranges are not requested
            fetched = fetch(self.system, wanted, 0, [_most(size) + 1 for size in sizes if size])
        items = iter(fetched)
        return [_as_listed(next(items), size) if size else b"" for size in sizes]


def runs(sizes: Sequence[int]) -> list[int]:
    """Return the first row of each run of neighbors: `TOGETHER` files, or fewer if they are large."""
    firsts: list[int] = []
    total = 0
    for row, size in enumerate(sizes):
        total += size
        if not firsts or row - firsts[-1] == TOGETHER or total > TOGETHER_BYTES:
            firsts.append(row)
            total = size
    return firsts


def _most(size: int) -> int:
    """Return the largest allowed size of a photo: the listed one, or the general limit."""
    return MAX_PHOTO_BYTES if size < 0 else size


def _as_listed(item: Item, size: int) -> Item:
    if isinstance(item, bytes) and len(item) > _most(size):
        return UnreadablePhotoError(too_large(len(item)) if size < 0 else "larger than its listed size")
    return item


def fetch(
    system: Any, paths: Sequence[str], start: int | None = None, stops: int | Sequence[int] | None = None
) -> list[Item]:
    """Fetch files, or a range of each, all at once; failed ones are retried."""
    items: dict[str, Item] = {}
    stop_of = dict(zip(paths, stops, strict=True)) if isinstance(stops, Sequence) else {}
    for left in reversed(range(TRIES)):
        wanted = [path for path in paths if not isinstance(items.get(path), bytes | UnreadablePhotoError)]
        try:
            stop = [stop_of[path] for path in wanted] if stop_of else stops
            found = system.cat_ranges(wanted, start, stop, on_error="return")
        except Exception as error:  # noqa: BLE001  each file system raises what it likes
            found = [error] * len(wanted)
        items |= {path: _item(each) for path, each in zip(wanted, found, strict=True)}
        if left and any(isinstance(items[path], DownloadError) for path in wanted):
            time.sleep(BACKOFF_S)
        else:
            break
    return [items[path] for path in paths]


def _item(found: object) -> Item:
    if isinstance(found, FileNotFoundError):
        return UnreadablePhotoError("no such file")
    if isinstance(found, DownloadError | UnreadablePhotoError):
        return found
    if isinstance(found, Exception):
        return DownloadError(f"cannot be fetched: {reason_of(found)}")
    return bytes(cast("bytes", found))


def path_of(system: Any, root: str, name: str) -> str:
    """Return the path of a file on its system; escaped on the web."""
    return f"{root}/{quote(name) if isinstance(system, WebFiles) else name}"


def too_large(size: int) -> str:
    return f"{size:,} bytes; at most {MAX_PHOTO_BYTES:,} are allowed"


def reason_of(error: BaseException) -> str:
    lines = printable(str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {lines}" if lines else type(error).__name__
