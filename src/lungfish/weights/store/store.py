"""Store weights files in the cache by SHA-256, with their records. Safe for any number of processes.

    weights/
      blobs/SHA256.pth      a file as published
      checked/SHA256        its size and time when it was last hashed
      stated/SHA256         the license that the user stated for a file converted here
      unpacked/SHA256/      contents of an archive, and SHA256.json: the hash of each file
      records/NAME.json     the records
      architectures/        networks that have no name of their own, for weights that need them
      downloads/NAME/       downloads in progress; also the place for files saved by hand
      locks/

A file appears complete under its name or not at all. Altered or torn files are never returned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from lungfish.core.archive import unpack
from lungfish.core.cache import cache_folder
from lungfish.core.durable import flush, flush_folder
from lungfish.core.errors import BundleError, StorageError, WeightsError
from lungfish.core.files import storage_errors, write_atomic
from lungfish.core.folders import make_folder
from lungfish.core.hashing import PIECE_BYTES, sha256_bytes, sha256_file
from lungfish.core.lock import lock, try_lock
from lungfish.core.names import printable
from lungfish.core.own_files import WEIGHTS, clear_place
from lungfish.core.progress import Progress
from lungfish.core.untrusted import parse_object
from lungfish.weights.store.record import WeightsRecord

CHANGING = "."  # not a name of weights
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")


class Store:
    """The weights on this machine, in the cache."""

    def __init__(self) -> None:
        self.folder = cache_folder() / WEIGHTS

    def blob(self, sha256: str) -> Path | None:
        """Return the file with that hash, or None if it is missing or was altered.

        The file is hashed again only if its size or modification time changed since it was last hashed: accidental
        changes alter that time. Hashing hundreds of megabytes at every start would take too long.
        """
        for file in self._blobs(sha256):
            with contextlib.suppress(OSError):
                if self._memo(sha256) == _stamp(file):
                    return file
                if sha256_file(file) == sha256:
                    self._remember(sha256, file)
                    return file
        return None

    def add(self, file: Path, *, move: bool = False) -> str:
        """Add a file.

        Args:
            file: File to copy; its suffix is kept, because readers depend on it.
            move: Whether to move the file, which must be on the same disk.

        Returns:
            SHA-256 of the stored file.

        Raises:
            StorageError: The disk is full or read-only, or access is denied.
        """
        folder = self.folder / "blobs"
        with storage_errors(folder):
            make_folder(folder)
            staged, sha256 = (file, sha256_file(file)) if move else _copy(file, folder)
            old = next(iter(self._blobs(sha256)), None)
            suffix = file.suffix if _SUFFIX.fullmatch(file.suffix) else ""
            blob = old or folder / f"{sha256}{suffix}"
            staged.replace(blob)
            flush_folder(folder)
        self._remember(sha256, blob)
        return sha256

    def unpacked(self, sha256: str) -> Path | None:
        """Return the folder with the contents of an archive, unpacking it if necessary; None if the archive is missing.

        Raises:
            WeightsError: The archive is damaged or hostile.
            StorageError: The disk is full or read-only, or access is denied.
        """
        folder = self.folder / "unpacked" / sha256
        listing = folder.with_name(f"{sha256}.json")
        archive = self.blob(sha256)
        if archive is None or _is_listed(folder, listing):
            return archive and folder
        with self.lock(sha256):
            if not _is_listed(folder, listing):
                with storage_errors(folder):
                    clear_place(folder, self.folder)  # remove altered files
                unpack(archive, folder, at_last=lambda whole: write_atomic(listing, json.dumps(_listing(whole))))
        return folder

    def record(self, name: str) -> WeightsRecord | None:
        """Return the record of weights, or None if there is none or it cannot be read."""
        return _read_record(self.record_file(name), name)

    def records(self) -> list[WeightsRecord]:
        """Return all records, sorted by name."""
        records = (_read_record(file) for file in (self.folder / "records").glob("*.json"))
        return sorted((record for record in records if record), key=lambda record: record.entry.name)

    def write_record(self, record: WeightsRecord) -> None:
        """Write a record, replacing one of the same name. Raises `StorageError`."""
        write_atomic(self.record_file(record.entry.name), json.dumps(record.to_json(), indent=2) + "\n")

    def touch(self, name: str) -> None:
        """Mark weights as used now."""
        with contextlib.suppress(OSError):
            os.utime(self.record_file(name))

    def state_license(self, sha256: str, license_id: str) -> None:
        """Remember the license that the user stated for a file. Write errors are ignored."""
        with contextlib.suppress(StorageError, OSError):
            write_atomic(self.folder / "stated" / sha256, license_id)

    def stated_license(self, sha256: str) -> str:
        """Return the license that a user of this machine stated for a file, or an empty string."""
        try:
            return (self.folder / "stated" / sha256).read_text("utf-8")
        except OSError:
            return ""

    def downloads(self, name: str) -> Path:
        """Return the folder where downloads arrive and files may be saved by hand. It need not exist."""
        return self.folder / "downloads" / slug(name)

    def lock(self, name: str, progress: Progress | None = None) -> AbstractContextManager[None]:
        """Lock weights against other processes that fetch them, waiting if necessary. Raises as `core.lock.lock`."""
        listener = progress or Progress()
        return lock(
            self._lock_file(slug(name)),
            lambda: listener.say(f"Waiting for another process that is fetching {printable(name)}"),
        )

    def try_lock(self, slug: str) -> AbstractContextManager[bool]:
        """Try to take the lock of weights, by their slug; yields whether it was free. Raises as `lock`."""
        return try_lock(self._lock_file(slug))

    def changing(self) -> AbstractContextManager[None]:
        """Hold a lock while a blob and its record are written, to prevent pruning in between. Raises as `lock`."""
        return self.lock(CHANGING)

    def record_file(self, name: str) -> Path:
        """Return the path of the record of weights, which need not exist."""
        return self.folder / "records" / f"{slug(name)}.json"

    def _blobs(self, sha256: str) -> list[Path]:
        return sorted((self.folder / "blobs").glob(f"{sha256}*"))

    def _memo(self, sha256: str) -> str:
        try:
            return (self.folder / "checked" / sha256).read_text("utf-8")
        except OSError:
            return ""

    def _remember(self, sha256: str, file: Path) -> None:
        with contextlib.suppress(StorageError, OSError):
            write_atomic(self.folder / "checked" / sha256, _stamp(file))

    def _lock_file(self, slug: str) -> Path:
        return self.folder / "locks" / f"{slug}.lock"


def slug(name: str) -> str:
    """Return a readable file name for any name of weights, made unique by a hash."""
    return f"{re.sub(r'[^a-z0-9]+', '-', name.casefold()).strip('-')[:60]}-{sha256_bytes(name.encode())[:12]}"


def _stamp(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _copy(file: Path, folder: Path) -> tuple[Path, str]:
    """Copy a file into `folder` under a temporary name, flush it, and return its path and SHA-256."""
    hashed = hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as copy, file.open("rb") as original:
            while data := original.read(PIECE_BYTES):
                hashed.update(data)
                copy.write(data)
            copy.flush()
            flush(copy.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name), hashed.hexdigest()


def _listing(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def _is_listed(folder: Path, listing: Path) -> bool:
    """Return whether a folder contains the unpacked files, unaltered; additional files are ignored."""
    try:
        listed, found = json.loads(listing.read_text("utf-8")), _listing(folder)
    except (OSError, ValueError):
        return False
    return bool(listed) and all(found.get(name) == sha256 for name, sha256 in listed.items())


def _read_record(file: Path, name: str | None = None) -> WeightsRecord | None:
    try:
        record = WeightsRecord.from_json(parse_object(file.read_bytes(), file.name).values)
    except (OSError, BundleError, WeightsError):
        return None
    return record if name in (None, record.entry.name) else None
