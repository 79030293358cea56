"""The directory of a zip archive from a stranger, read once and with a bound."""

from __future__ import annotations

import sys
import zipfile
from typing import IO, cast

# 80,000 members of usual names; what Python keeps of each entry takes up to 13 times more.
MAX_DIRECTORY_BYTES = 8 << 20


class _Bounded:
    """A file of which no more is read at once than a directory may take."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.largest = MAX_DIRECTORY_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, self.largest + 1) if size >= 0 else self.largest + 1)
        if len(data) > self.largest:
            raise zipfile.BadZipFile(f"its directory takes more than {self.largest:,} bytes")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """An archive whose directory is not too large.

    Raises:
        zipfile.BadZipFile: it is, or makes no sense.
    """
    bounded = _Bounded(file)
    archive = zipfile.ZipFile(cast("IO[bytes]", bounded))
    bounded.largest = sys.maxsize - 1  # members are read in pieces
    return archive
