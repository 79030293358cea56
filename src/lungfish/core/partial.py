"""Store a partial download together with the version of the file, so that a later process can resume it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lungfish.core.durable import flush, flush_folder
from lungfish.core.files import storage_errors, write_atomic
from lungfish.core.folders import make_folder


@dataclass(frozen=True)
class Version:
    """The version of a file on a server.

    Args:
        url: The requested address.
        tag: A strong ETag or the modification date, as the server sent it. Without one (empty) the download cannot be
            resumed.
        bytes: The size, or None if unknown.
    """

    url: str
    tag: str
    bytes: int | None


class Partial:
    """Store the received bytes in `target` + `.part`, and the version of the file in `target` + `.part.json`.

    A context manager, to be used by one process at a time. Unless `finish` is called, the received bytes are kept for
    the next attempt.

    Raises:
        StorageError: The disk is full or read-only, or permission is denied.
    """

    def __init__(self, target: Path) -> None:
        self.version = Version("", "", None)
        self.done = 0  # bytes
        self._target = target
        self._path = target.with_name(f"{target.name}.part")
        self._record = target.with_name(f"{target.name}.part.json")
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        with storage_errors(self._path):
            make_folder(self._path.parent)
            self._file = self._path.open("a+b")
            self.version = _read_version(self._record)
            self._file.seek(0)
            while data := self._file.read(1 << 20):
                self._hash.update(data)
                self.done += len(data)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # bytes that cannot be written are downloaded again
            if not self._file.closed:
                self._file.flush()
                flush(self._file.fileno())
        with contextlib.suppress(OSError):
            self._file.close()
            if not self.done:
                self._path.unlink(missing_ok=True)
                self._record.unlink(missing_ok=True)

    @property
    def is_whole(self) -> bool:
        return self.done == self.version.bytes

    def restart(self, version: Version) -> None:
        """Discard the received bytes, and expect `version`."""
        self.version, self.done, self._hash = version, 0, hashlib.sha256()
        with storage_errors(self._path):
            self._file.truncate(0)  # before the record, so that bytes are never attributed to another version
        write_atomic(self._record, json.dumps(vars(version)))

    def write(self, data: bytes) -> None:
        with storage_errors(self._path):
            self._file.write(data)
            self._file.flush()  # to the system, so that a killed process loses nothing
        self._hash.update(data)
        self.done += len(data)

    def finish(self) -> str:
        """Rename the file to its target, and return its SHA-256."""
        with storage_errors(self._target):
            self._file.flush()
            flush(self._file.fileno())
            self._file.close()
            self._path.replace(self._target)
            flush_folder(self._target.parent)
            self._record.unlink(missing_ok=True)
        return self._hash.hexdigest()


def _read_version(record: Path) -> Version:
    try:
        row = json.loads(record.read_text("utf-8"))
        version = Version(row["url"], row["tag"], row["bytes"])
    except (OSError, ValueError, TypeError, KeyError):
        return Version("", "", None)
    sound = isinstance(version.tag, str) and isinstance(version.bytes, int | None)
    return version if sound else Version("", "", None)
