"""Write files atomically, read only regular files, and turn errors of the operating system into our own."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lungfish.core.durable import flush, flush_folder
from lungfish.core.errors import LungfishError, StorageError
from lungfish.core.folders import make_folder
from lungfish.core.names import printable

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
DISK_ERRORS = (*NO_SPACE, errno.EIO)
DAMAGED = "The disk or its connection may be failing: back up important files, and choose another disk."


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` raised while writing `path` into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> LungfishError:
    """Return the error to raise when `path` cannot be written."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    shown = printable(str(path))
    if error.errno == errno.ENOSPC:
        return StorageError(f"no space left while writing {shown}", "Free some disk space, or choose another disk.")
    if error.errno == errno.EIO:
        return StorageError(f"cannot write {shown}: {reason}", DAMAGED)
    return StorageError(f"cannot write {shown}: {reason}", "Choose a writable folder.")


class NotRegularError(OSError):
    """The path is a folder, a pipe or a device instead of a regular file."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a regular file")

    def __str__(self) -> str:
        return str(self.strerror)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read, not a pipe or device; those may never end.

    A file of size 0 counts as empty: some files in Linux's /proc have no size and can be read forever.

    Raises:
        NotRegularError: The path is not a regular file.
        OSError: The file does not exist, or permission is denied.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe may block as well
        raise NotRegularError
    file = path.open("rb")
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size:
        return file
    file.close()
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError
    return io.BytesIO()


class TooLargeError(OSError):
    """The file is larger than the limit."""

    def __init__(self, most: int) -> None:
        super().__init__(errno.EFBIG, f"more than the {most:,} bytes allowed")

    def __str__(self) -> str:
        return str(self.strerror)


def read_at_most(path: Path, most: int) -> bytes:
    """Read an untrusted regular file of at most `most` bytes, whatever size the system reports.

    Raises:
        TooLargeError: The file is larger.
        NotRegularError: The path is not a regular file.
        OSError: The file does not exist, or permission is denied.
    """
    with open_regular(path) as file:
        data = file.read(min(path.stat().st_size, most) + 1)  # allocates no larger buffer than needed
    if len(data) > most:
        raise TooLargeError(most)
    return data


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write `data` to a temporary file in the same folder, flush it to disk, then rename it to `path`.

    Raises:
        StorageError: The disk is full or read-only, or permission is denied; `path` is unchanged.
    """
    content = data.encode() if isinstance(data, str) else data
    with storage_errors(path):
        make_folder(path.parent)
        stage = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            with stage.open("xb") as file:  # tempfile would not give it the usual permissions
                file.write(content)
                file.flush()
                flush(file.fileno())
            stage.replace(path)
        except BaseException:
            stage.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)
