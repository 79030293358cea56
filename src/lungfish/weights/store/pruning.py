"""Old and left-over files out of the store."""

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
    """What was deleted.

    Args:
        file: below the store's folder, with slashes.
        bytes: that it took.
    """

    file: str
    bytes: int


def prune(store: Store, unused_days: float | None = None) -> list[Pruned]:
    """Delete the sets that were not used for so long, and whatever no set refers to.

    What another process is fetching or unpacking stays, and so do files that have no name of our own form.

    Args:
        store: of weights.
        unused_days: 0 deletes every set; None only unfinished downloads and files that no record refers to.

    Raises:
        StorageError: the folder cannot be written.
        MissingExtraError: filelock is not installed.
    """
    if not (store.folder.is_dir() and is_marked()):
        return []
    with store.changing():
        records = _delete(store, _old_records(store, unused_days))
        return records + _delete(store, _unreferred(store)) + _delete(store, (store.folder / "downloads").glob("*"))


def _old_records(store: Store, unused_days: float | None) -> list[Path]:
    """Cards of sets that were not used. One that cannot be read may be of a newer lungfish, and grows old likewise."""
    if unused_days is None:
        return []
    files = (store.folder / "records").glob("[!.]*.json")
    return [file for file in files if file.stat().st_mtime <= time.time() - unused_days * DAY_S]


def _unreferred(store: Store) -> Iterator[Path]:
    """Files of no set, and what was left by processes that were killed: its names begin with a dot.

    Of what processes write without a lock, only what is older than a day. A record of a newer lungfish refers to its
    files, too, by whatever key.
    """
    records = [file.read_text("utf-8", "replace") for file in (store.folder / "records").glob("[!.]*.json")]
    kept = {sha256 for record in records for sha256 in re.findall(r"\b[0-9a-f]{64}\b", record)}
    for room in ("blobs", "checked", "unpacked"):
        for file in sorted((store.folder / room).glob("*")):  # what was unpacked before the list of it
            if file.name.partition(".")[0] not in kept:
                yield file
    networks = (store.folder / "architectures").glob("*")
    written = [file for file in networks if not any(file.name in record for record in records)]
    for folder in (store.folder, store.folder / "records"):
        written += folder.glob(".*")
    yield from (file for file in written if time.time() - file.stat().st_mtime > DAY_S)


def _delete(store: Store, files: Iterable[Path]) -> list[Pruned]:
    """Delete files and folders; not what another process works on, nor what the system does not let go."""
    deleted = []
    for file in files:
        if not any(own_files(file, store.folder)):  # somebody else's
            continue
        size = own_bytes(file, store.folder)
        with _claim(store, file) as free:
            if free:
                delete_own(file, store.folder)
        if not any(own_files(file, store.folder)):
            deleted.append(Pruned(file.relative_to(store.folder).as_posix(), size))
    return deleted


def _claim(store: Store, file: Path) -> AbstractContextManager[bool]:
    """The lock of whoever writes there; blobs are written by nobody now."""
    stem = file.name.strip(".").partition(".")[0]
    locks = {"records": stem, "downloads": stem, "unpacked": slug(stem)}
    lock = locks.get(file.parent.name)
    return store.try_lock(lock) if lock else contextlib.nullcontext(True)
