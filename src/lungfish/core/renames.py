"""Rename without overwriting, and swap two folders atomically; Python lacks both."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

# Constants of Linux's renameat2(2), from <linux/fs.h> and <fcntl.h>.
_AT_FDCWD, _NOREPLACE, _EXCHANGE = -100, 1, 2
_NOT_SUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)  # by the system, or by this file system


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or folder without replacing anything.

    Raises:
        FileExistsError: `target` exists, even as an empty folder.
        OSError: The rename fails.
    """
    if _renameat2(source, target, _NOREPLACE):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically, so that both names always exist. Raises `OSError`.

    Returns:
        False if the system does not support it; then nothing has changed.
    """
    return _renameat2(one, other, _EXCHANGE)


def _renameat2(source: Path, target: Path, flag: int) -> bool:
    """Rename with a flag, and return whether the system supports it. Raises `OSError`."""
    if not sys.platform.startswith("linux"):
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:  # C library from before 2018
        return False
    if function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_SUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))
