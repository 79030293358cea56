"""Make room in the cache, within its budget, by deleting the least recently used entries."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from lungfish.core.cache import budget_bytes, cache_folder, cache_home, cache_path, is_marked, standing_folder
from lungfish.core.errors import MachineError, StorageError
from lungfish.core.lock import hold, lock, try_lock
from lungfish.core.names import printable
from lungfish.core.own_files import FORMS, RUNS, WEIGHTS, delete_own, own_bytes

KINDS = tuple(kind for kind in FORMS if kind != WEIGHTS)  # kinds of entries that may be deleted; stopped runs last
USERS = 4  # callers that can mark a folder as in use at the same time
DAY_S = 86_400.0
_dry_runs = 0  # dry runs in progress


def bytes_available(folder: Path) -> int:
    """Return how large `folder`, which need not exist, may become within the budget and the free disk space.

    Raises:
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    staying, unused = _weigh(folder)
    return max(_room(staying + sum(unused.values())) - staying, 0)


def make_room(folder: Path, needed: int) -> None:
    """Delete the least recently used entries of the whole cache until `folder` has room for `needed` bytes in total.

    Stopped runs are deleted last. `folder` itself, entries in use and files that are not ours stay, and nothing is
    deleted if the cache has no marker.

    Raises:
        StorageError: There would still be too little space; nothing is deleted.
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    staying, unused = _weigh(folder)
    used = staying + sum(unused.values())
    room = _room(used)
    if needed > max(room - staying, 0):
        raise StorageError(
            f"{folder.parent.name} need {_gigabytes(needed)}, but only {_gigabytes(room - staying)} are available in "
            f"{printable(str(folder.parent))}, after subtracting weights and files in use",
            "Increase LUNGFISH_CACHE_GB or the job's cache_gb, or set LUNGFISH_CACHE to a folder on another disk.",
        )
    for entry, size in unused.items():
        if used + needed <= room:
            break
        with _claimed(entry) as is_free:
            if is_free:
                delete_own(entry, entry.parent)
                used -= size


@contextmanager
def nothing_deleted() -> Iterator[None]:
    """Delete nothing within the block, for a dry run; deletable entries then do not count as available space."""
    global _dry_runs  # noqa: PLW0603  all threads of the run must see it
    _dry_runs += 1
    try:
        yield
    finally:
        _dry_runs -= 1


def _may_delete() -> bool:
    return not _dry_runs and is_marked()


def in_use(folder: Path) -> object:
    """Mark a folder as in use; it is not deleted as long as the caller keeps the returned object."""
    touch(folder)
    with contextlib.suppress(MachineError):  # filelock is not installed, or nothing can be written
        for file in _lock_files(folder)[1:]:
            if file_lock := hold(file):
                return file_lock
    return None


def touch(entry: Path) -> None:
    """Set the time of last use of a file or folder in the cache to now."""
    with contextlib.suppress(OSError):
        now = time.time_ns()  # the kernel's clock for files advances only every few milliseconds
        os.utime(entry, ns=(now, now))


def folder_lock(folder: Path, waiting: Callable[[], None]) -> AbstractContextManager[None]:
    """Return the lock to hold while writing to a folder; entering it waits. See `lungfish.core.lock.lock`."""
    return lock(_lock_files(folder)[0], waiting)


def try_folder_lock(folder: Path) -> AbstractContextManager[bool]:
    """Return the lock to hold while writing to a folder, without waiting. See `lungfish.core.lock.try_lock`."""
    return try_lock(_lock_files(folder)[0])


def _lock_files(folder: Path) -> list[Path]:
    """Return the writer's lock file, then those of `in_use`. They are outside the folder, which may be deleted."""
    name = f"{folder.parent.name}-{folder.name}"
    return [cache_folder() / "locks" / each for each in (name, *(f"{name}.{user}" for user in range(USERS)))]


def _weigh(folder: Path) -> tuple[int, dict[Path, int]]:
    """Return the bytes that must stay, and the sizes of deletable entries in deletion order, without `folder`."""
    staying, unused = cache_bytes(WEIGHTS), {}
    entries = [entry for kind in KINDS for entry in (cache_path() / kind).glob("*") if entry != folder]
    for entry in sorted(entries, key=lambda entry: (entry.parent.name == RUNS, _last_used(entry))):
        with _claimed(entry) as is_free:
            if is_free and _may_delete():
                unused[entry] = own_bytes(entry, entry.parent)
            else:
                staying += own_bytes(entry, entry.parent)
    return staying, unused


def cache_bytes(*kinds: str) -> int:
    """Return the bytes of our own files in the cache, of the named kinds or of all."""
    return _bytes_below(cache_path(), kinds or tuple(FORMS))


def old_cache_bytes() -> int:
    """Return the bytes of our files next to the cache, where earlier versions kept them. They are left alone."""
    return _bytes_below(cache_home(), tuple(FORMS))


def _bytes_below(folder: Path, kinds: tuple[str, ...]) -> int:
    return sum(own_bytes(folder / kind, folder / kind) for kind in kinds)


@contextmanager
def _claimed(entry: Path) -> Iterator[bool]:
    """Yield whether an entry is unused; if so, it is locked within the block."""
    with ExitStack() as locks:
        try:
            is_free = all(locks.enter_context(try_lock(file)) for file in _lock_files(entry) if file.exists())
        except MachineError:  # filelock is not installed, or the lock belongs to another user
            is_free = False
        yield is_free and not _is_unfinished(entry)


def _is_unfinished(entry: Path) -> bool:
    """Return whether an entry is temporary and less than a day old; older ones were left by killed processes."""
    return entry.name.startswith(".") and time.time() - _last_used(entry) < DAY_S


def _room(used: int) -> int:
    """Return the largest size of the cache: its budget, or its size plus the free disk space if that is less."""
    return min(budget_bytes(), used + shutil.disk_usage(standing_folder()).free)


def _last_used(entry: Path) -> float:
    with contextlib.suppress(OSError):  # deleted by another process
        return entry.stat().st_mtime
    return 0.0


def _gigabytes(count: int) -> str:
    return f"{max(count, 0) / 1e9:.3g} GB"
