"""Flushing files and folders to the disk, so that what was written is still there after a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# macOS, whose fsync leaves the data in the drive's own cache
FULL_FLUSH: int | None = getattr(fcntl, "F_FULLFSYNC", None)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY)


def flush(handle: int) -> None:
    """Bring an open file to the disk. Raises `OSError`."""
    if FULL_FLUSH is not None:
        try:
            fcntl.fcntl(handle, FULL_FLUSH)
        except OSError as error:  # a network's file system does not know it
            if error.errno not in _NOT_SUPPORTED:
                raise
        else:
            return
    os.fsync(handle)


def flush_folder(folder: Path) -> None:
    """Bring to the disk which names a folder holds: new, renamed and deleted ones. Raises `OSError`."""
    if os.name == "nt":  # where a folder cannot be opened; NTFS keeps a journal of names
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be written to, but not read
        return
    try:
        flush(handle)
    except OSError as error:  # file systems without flushing of folders
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Bring every file and folder at and below `folder` to the disk. Raises `OSError`."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            with Path(parent, name).open("r+b") as file:  # Windows flushes only what may be written
                flush(file.fileno())
        flush_folder(Path(parent))
