"""Delete unused and leftover files from the store."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lungfish.core.cache import is_marked
from lungfish.core.own_files import delete_own, own_bytes, own_files
from lungfish.weights.store.store import Store, slug

DAY_S = 86_400.0


@dataclass(frozen=True)
class Pruned:
    """A deleted file or folder.

    Args:
        file: Path below the store's folder, with slashes.
        bytes: Size before deletion.
    """

    file: str
    bytes: int


def prune(store: Store, unused_days: float | None = None) -> list[Pruned]:
    """Delete weights that have not been used for a while, and everything that no weights refer to.

    Files that another process is fetching or unpacking stay, and so do files with names that Lungfish does not use.

    Args:
        store: The store.
        unused_days: Days without use after which weights are deleted; 0 deletes all. None deletes only unfinished
            downloads and files that no record refers to.

    Raises:
        StorageError: The folder cannot be written.
        MissingExtraError: filelock is not installed.
    """
    if not (store.folder.is_dir() and is_marked()):
        return []
    with store.changing():
        records = _delete(store, _old_records(store, unused_days))
        return records + _delete(store, _unreferenced(store)) + _delete(store, (store.folder / "downloads").glob("*"))


def _old_records(store: Store, unused_days: float | None) -> list[Path]:
    """Return the records of unused weights. Unreadable records, perhaps of a newer version, expire like all others."""
    if unused_days is None:
        return []
    files = (store.folder / "records").glob("[!.]*.json")
    return [file for file in files if file.stat().st_mtime <= time.time() - unused_days * DAY_S]


def _unreferenced(store: Store) -> Iterator[Path]:
    """Yield files that no weights refer to, and leftovers of killed processes, whose names begin with a dot.

    Files that processes write without a lock are yielded only if they are older than a day. A hash counts as referenced
    wherever it occurs in a record, since records of newer versions may have other keys.
    """
    records = [file.read_text("utf-8", "replace") for file in (store.folder / "records").glob("[!.]*.json")]
    referenced = {sha256 for record in records for sha256 in re.findall(r"\b[0-9a-f]{64}\b", record)}
    for subfolder in ("blobs", "checked", "unpacked"):
        for file in sorted((store.folder / subfolder).glob("*")):  # an unpacked folder sorts before its listing
            if file.name.partition(".")[0] not in referenced:
                yield file
    networks = (store.folder / "architectures").glob("*")
    unlocked = [file for file in networks if not any(file.name in record for record in records)]
    for folder in (store.folder, store.folder / "records"):
        unlocked += folder.glob(".*")
    yield from (file for file in unlocked if time.time() - file.stat().st_mtime > DAY_S)


def _delete(store: Store, files: Iterable[Path]) -> list[Pruned]:
    """Delete files and folders, except those that another process uses or the system does not release."""
    deleted = []
    for file in files:
        if not any(own_files(file, store.folder)):  # not created by Lungfish
            continue
        size = own_bytes(file, store.folder)
        with _claim(store, file) as free:
            if free:
                delete_own(file, store.folder)
        if not any(own_files(file, store.folder)):
            deleted.append(Pruned(file.relative_to(store.folder).as_posix(), size))
    return deleted


def _claim(store: Store, file: Path) -> AbstractContextManager[bool]:
    """Return the lock of the file's writers. Blobs need none: nothing writes them while the store's lock is held."""
    stem = file.name.strip(".").partition(".")[0]
    locks = {"records": stem, "downloads": stem, "unpacked": slug(stem)}
    lock = locks.get(file.parent.name)
    return store.try_lock(lock) if lock else contextlib.nullcontext(True)
