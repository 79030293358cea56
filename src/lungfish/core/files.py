"""Writing files whole or not at all, reading only regular files, and what is said when the system refuses."""

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
DAMAGED = "The disk or its connection may be failing: copy what matters elsewhere, and choose another place."


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's complaints about `path` into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def storage_error(path: Path, error: OSError) -> LungfishError:
    """What to say of a `path` that cannot be written."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    shown = printable(str(path))
    if error.errno == errno.ENOSPC:
        return StorageError(f"no space left while writing {shown}", "Free some disk space, or choose another place.")
    if error.errno == errno.EIO:
        return StorageError(f"cannot write {shown}: {reason}", DAMAGED)
    return StorageError(f"cannot write {shown}: {reason}", "Choose a place that you may write to.")


class NotRegularError(OSError):
    """Not a regular file, but a folder, a pipe or a device."""

    def __init__(self) -> None:
        super().__init__(errno.EINVAL, "not a regular file")

    def __str__(self) -> str:
        return str(self.strerror)


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it, if it is a regular one: reading a pipe or a device may never end.

    A file without a size is taken to be empty: some of those that Linux shows in /proc can be read forever.

    Raises:
        NotRegularError: it is none.
        OSError: not there, or not allowed.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe may wait, too
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
    """A file has more bytes than may be read."""

    def __init__(self, most: int) -> None:
        super().__init__(errno.EFBIG, f"more than the {most:,} bytes allowed")

    def __str__(self) -> str:
        return str(self.strerror)


def read_at_most(path: Path, most: int) -> bytes:
    """Read a regular file that may come from anyone: no more than `most` bytes, whatever its size is said to be.

    Raises:
        TooLargeError: there are more.
        NotRegularError: it is not a regular file.
        OSError: not there, or not allowed.
    """
    with open_regular(path) as file:
        data = file.read(min(path.stat().st_size, most) + 1)  # no buffer beyond what is needed
    if len(data) > most:
        raise TooLargeError(most)
    return data


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` through a temporary file beside it, flushed to disk, then renamed.

    Raises:
        StorageError: disk full, read-only or forbidden; `path` is as it was.
    """
    content = data.encode() if isinstance(data, str) else data
    with storage_errors(path):
        make_folder(path.parent)
        stage = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            with stage.open("xb") as file:  # with the usual permissions, which tempfile's files have not
                file.write(content)
                file.flush()
                flush(file.fileno())
            stage.replace(path)
        except BaseException:
            stage.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)
