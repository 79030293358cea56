"""Files of weights in the cache, by their SHA-256, and the records of the ledger. Any number of processes may use it.

    weights/
      blobs/SHA256.pth      a file as it was published
      checked/SHA256        its size and time when it was last hashed
      stated/SHA256         the license that a person stated for a file that was converted here
      unpacked/SHA256/      what an archive holds, and SHA256.json: the hash of each file
      records/NAME.json       the ledger
      architectures/        networks of sets that have no name of their own
      downloads/NAME/       what is still arriving, and where a file may be saved by hand
      locks/

Everything appears whole under its name or not at all. A file that was altered or torn is not given out.
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

CHANGING = "."  # no set is called so
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")


class Store:
    """The weights on this machine, in the cache."""

    def __init__(self) -> None:
        self.folder = cache_folder() / WEIGHTS

    def blob(self, sha256: str) -> Path | None:
        """The file with that hash, or None if it is not here or was altered.

        It is hashed again only if its size or time of change are not what they were the last time: an accident that
        alters a file alters its time. Hashing each time would make every start wait for hundreds of megabytes.
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
        """Take in a file.

        Args:
            file: copied; its ending is kept, for readers go by it.
            move: take the file itself, which is on the same disk.

        Returns:
            SHA-256 of what is now in the store.

        Raises:
            StorageError: disk full, read-only or forbidden.
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
        """The folder with what the archive with that hash holds, unpacked now if need be; None without the archive.

        Raises:
            WeightsError: the archive is damaged or hostile.
            StorageError: disk full, read-only or forbidden.
        """
        folder = self.folder / "unpacked" / sha256
        listing = folder.with_name(f"{sha256}.json")
        archive = self.blob(sha256)
        if archive is None or _is_listed(folder, listing):
            return archive and folder
        with self.lock(sha256):
            if not _is_listed(folder, listing):
                with storage_errors(folder):
                    clear_place(folder, self.folder)  # what was altered
                unpack(archive, folder, at_last=lambda whole: write_atomic(listing, json.dumps(_listing(whole))))
        return folder

    def record(self, name: str) -> WeightsRecord | None:
        """The record of a set, or None if there is none that can be read."""
        return _read_record(self.record_file(name), name)

    def records(self) -> list[WeightsRecord]:
        """Every record, by name."""
        records = (_read_record(file) for file in (self.folder / "records").glob("*.json"))
        return sorted((record for record in records if record), key=lambda record: record.entry.name)

    def write_record(self, record: WeightsRecord) -> None:
        """Keep a record, in place of the one of the same name. Raises `StorageError`."""
        write_atomic(self.record_file(record.entry.name), json.dumps(record.to_json(), indent=2) + "\n")

    def touch(self, name: str) -> None:
        """Remember that a set is used now."""
        with contextlib.suppress(OSError):
            os.utime(self.record_file(name))

    def state_license(self, sha256: str, license_id: str) -> None:
        """Remember the license that a person stated for the file with that hash; no matter if it cannot be kept."""
        with contextlib.suppress(StorageError, OSError):
            write_atomic(self.folder / "stated" / sha256, license_id)

    def stated_license(self, sha256: str) -> str:
        """That license; empty if nobody on this machine stated one."""
        try:
            return (self.folder / "stated" / sha256).read_text("utf-8")
        except OSError:
            return ""

    def downloads(self, name: str) -> Path:
        """The folder where the file of a set arrives, and may be saved by hand. It need not exist."""
        return self.folder / "downloads" / slug(name)

    def lock(self, name: str, progress: Progress | None = None) -> AbstractContextManager[None]:
        """Keep other processes from fetching the same set; wait for one that does. Raises as `core.lock.lock`."""
        told = progress or Progress()
        return lock(
            self._lock_file(slug(name)), lambda: told.say(f"Waiting for another process with {printable(name)}")
        )

    def try_lock(self, slug: str) -> AbstractContextManager[bool]:
        """Hold the lock of a set, by its slug, if nobody else does; whether that is so. Raises as `lock`."""
        return try_lock(self._lock_file(slug))

    def changing(self) -> AbstractContextManager[None]:
        """Held while a blob and its record are written, so that nothing is pruned in between. Raises as `lock`."""
        return self.lock(CHANGING)

    def record_file(self, name: str) -> Path:
        """Where the record of a set is, or would be."""
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
    """A file name for any name of a set: readable, and of its own by a hash."""
    return f"{re.sub(r'[^a-z0-9]+', '-', name.casefold()).strip('-')[:60]}-{sha256_bytes(name.encode())[:12]}"


def _stamp(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _copy(file: Path, folder: Path) -> tuple[Path, str]:
    """A flushed copy in `folder` under a temporary name, and its SHA-256."""
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
    """Whether a folder holds what was unpacked, unaltered; files that somebody has added do no harm."""
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
