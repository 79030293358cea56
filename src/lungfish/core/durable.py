"""Flush files and folders to disk, so that writes survive a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# macOS: fsync alone leaves the data in the drive's cache.
FULL_FLUSH: int | None = getattr(fcntl, "F_FULLFSYNC", None)
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY)


def flush(handle: int) -> None:
    """Flush an open file to disk. Raises `OSError`."""
    if FULL_FLUSH is not None:
        try:
            fcntl.fcntl(handle, FULL_FLUSH)
        except OSError as error:  # not supported by network file systems
            if error.errno not in _NOT_SUPPORTED:
                raise
        else:
            return
    os.fsync(handle)


def flush_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk: created, renamed and deleted names. Raises `OSError`."""
    if os.name == "nt":  # folders cannot be opened there; NTFS journals names
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # writable, but not readable
        return
    try:
        flush(handle)
    except OSError as error:  # some file systems cannot flush folders
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """Flush `folder` and everything below it to disk. Raises `OSError`."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            with Path(parent, name).open("r+b") as file:  # Windows flushes only writable handles
                flush(file.fileno())
        flush_folder(Path(parent))
