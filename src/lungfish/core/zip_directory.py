"""Open untrusted zip archives, limiting the size of their directory."""

from __future__ import annotations

import sys
import zipfile
from typing import IO, cast

# Enough for 80,000 members with ordinary names; Python's objects for the entries take up to 13 times more memory.
MAX_DIRECTORY_BYTES = 8 << 20


class _Bounded:
    """A file wrapper that limits the size of a single read to the largest allowed directory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.largest = MAX_DIRECTORY_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self.largest + 1) if size >= 0 else self.largest + 1)
        if len(data) > self.largest:
            raise zipfile.BadZipFile(f"its directory is larger than {self.largest:,} bytes")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """Open an archive whose directory is at most `MAX_DIRECTORY_BYTES`.

    Raises:
        zipfile.BadZipFile: The directory is larger, or invalid.
    """
    bounded = _Bounded(file)
    archive = zipfile.ZipFile(cast("IO[bytes]", bounded))
    bounded.largest = sys.maxsize - 1  # members are read in pieces, so they need no limit
    return archive
