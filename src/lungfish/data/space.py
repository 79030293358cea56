"""Space on the disk for large folders of the cache: within its budget, at the cost of older ones that nobody writes."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from lungfish.core.cache import budget_bytes, bytes_of, cache_folder, prune_cache
from lungfish.core.errors import StorageError
from lungfish.core.lock import lock, try_lock
from lungfish.core.names import printable


def bytes_available(parent: Path) -> int:
    """What one folder in `parent` may take: the cache's budget, or what the disk holds without the others, if less.

    Raises:
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    there = next(folder for folder in (parent, *parent.parents) if folder.exists())
    return min(budget_bytes(), bytes_of(parent) + shutil.disk_usage(there).free)


def make_room(folder: Path, needed: int) -> None:
    """Delete the least recently used folders beside `folder`, whose lock is held, until `needed` bytes are free for it.

    Raises:
        StorageError: there is not room enough even so.
    """
    available = bytes_available(folder.parent)
    if needed > available:
        raise StorageError(
            f"{folder.parent.name} take {_gigabytes(needed)}; {_gigabytes(available)} are free in "
            f"{printable(str(folder.parent))} or allowed by LUNGFISH_CACHE_GB",
            "Set LUNGFISH_CACHE_GB to more, or LUNGFISH_CACHE to another disk.",
        )
    others = [other for other in folder.parent.glob("*") if other != folder]
    with ExitStack() as held:
        busy = [other for other in others if not held.enter_context(try_folder_lock(other))]
        prune_cache(folder.parent, available - needed, keep=busy)


def folder_lock(folder: Path, waiting: Callable[[], None]) -> AbstractContextManager[None]:
    """Held by whoever writes to a folder: see `lungfish.core.lock`."""
    return lock(_lock_file(folder), waiting)


def try_folder_lock(folder: Path) -> AbstractContextManager[bool]:
    """Held by whoever writes to a folder, without waiting: see `lungfish.core.lock.try_lock`."""
    return try_lock(_lock_file(folder))


def touch(folder: Path) -> None:
    """Remember that a folder is used now."""
    with contextlib.suppress(OSError):
        os.utime(folder)


def _lock_file(folder: Path) -> Path:
    """Apart from the folder, which may be deleted while others wait for it."""
    return cache_folder() / "locks" / f"{folder.parent.name}-{folder.name}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
