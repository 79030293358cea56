"""Space on the disk for new things in the cache: within its budget, at the cost of older ones that nobody uses."""

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

KINDS = tuple(kind for kind in FORMS if kind != WEIGHTS)  # whose entries may go; stopped runs are the last that do
USERS = 4  # that can be known of at once, for each folder
DAY_S = 86_400.0
_dry_runs = 0  # that are under way


def bytes_available(folder: Path) -> int:
    """What `folder`, which need not exist, may take: what the budget and the disk leave beside all that must stay.

    Raises:
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    staying, unused = _weigh(folder)
    return max(_room(staying + sum(unused.values())) - staying, 0)


def make_room(folder: Path, needed: int) -> None:
    """Delete what was not used for longest in the whole cache, until `folder` may take `needed` bytes.

    Stopped runs are the last to go. `folder` itself stays, and so do what others use, files that have no name of our
    own form, and everything if the cache has no marker.

    Raises:
        StorageError: there is not room enough even so; nothing is deleted.
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    staying, unused = _weigh(folder)
    held = staying + sum(unused.values())
    room = _room(held)
    if needed > max(room - staying, 0):
        raise StorageError(
            f"{folder.parent.name} take {_gigabytes(needed)}; {_gigabytes(room - staying)} are free in "
            f"{printable(str(folder.parent))} or allowed by LUNGFISH_CACHE_GB beside weights and what is in use",
            "Set LUNGFISH_CACHE_GB, or cache_gb of the job, to more, or LUNGFISH_CACHE to another disk.",
        )
    for entry, size in unused.items():
        if held + needed <= room:
            break
        with _claimed(entry) as is_free:
            if is_free:
                delete_own(entry, entry.parent)
                held -= size


@contextmanager
def nothing_deleted() -> Iterator[None]:
    """For a dry run: nothing is deleted within the block, so only free space counts as room."""
    global _dry_runs  # noqa: PLW0603  threads of the run ask, too
    _dry_runs += 1
    try:
        yield
    finally:
        _dry_runs -= 1


def _may_delete() -> bool:
    return not _dry_runs and is_marked()


def in_use(folder: Path) -> object:
    """Remember that a folder is used now; it is not deleted as long as what is returned is kept."""
    touch(folder)
    with contextlib.suppress(MachineError):  # filelock is not installed, or nothing can be written
        for file in _lock_files(folder)[1:]:
            if held := hold(file):
                return held
    return None


def touch(entry: Path) -> None:
    """Remember that a file or folder of the cache is used now."""
    with contextlib.suppress(OSError):
        now = time.time_ns()  # the kernel's own clock for files stands still for some milliseconds
        os.utime(entry, ns=(now, now))


def folder_lock(folder: Path, waiting: Callable[[], None]) -> AbstractContextManager[None]:
    """Held by whoever writes to a folder: see `lungfish.core.lock`."""
    return lock(_lock_files(folder)[0], waiting)


def try_folder_lock(folder: Path) -> AbstractContextManager[bool]:
    """Held by whoever writes to a folder, without waiting: see `lungfish.core.lock.try_lock`."""
    return try_lock(_lock_files(folder)[0])


def _lock_files(folder: Path) -> list[Path]:
    """Of the writer, then of users; apart from the folder, which may be deleted while others wait for it."""
    name = f"{folder.parent.name}-{folder.name}"
    return [cache_folder() / "locks" / each for each in (name, *(f"{name}.{user}" for user in range(USERS)))]


def _weigh(folder: Path) -> tuple[int, dict[Path, int]]:
    """Bytes that stay, and the size of each entry that may go, in the order of `make_room`; `folder` is neither."""
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
    """Bytes of our own files in the cache; of all kinds unless some are named."""
    return _bytes_below(cache_path(), kinds or tuple(FORMS))


def old_cache_bytes() -> int:
    """Bytes of files of our form where versions before 0.2 kept them: beside the cache. They are left alone."""
    return _bytes_below(cache_home(), tuple(FORMS))


def _bytes_below(folder: Path, kinds: tuple[str, ...]) -> int:
    return sum(own_bytes(folder / kind, folder / kind) for kind in kinds)


@contextmanager
def _claimed(entry: Path) -> Iterator[bool]:
    """Whether nobody uses an entry; then nobody begins to write there within the block."""
    with ExitStack() as locks:
        try:
            is_free = all(locks.enter_context(try_lock(file)) for file in _lock_files(entry) if file.exists())
        except MachineError:  # filelock is not installed, or the lock is of another user
            is_free = False
        yield is_free and not _is_unfinished(entry)


def _is_unfinished(entry: Path) -> bool:
    """Whether it may be what a process writes that will then rename it; older ones were left by a kill."""
    return entry.name.startswith(".") and time.time() - _last_used(entry) < DAY_S


def _room(held: int) -> int:
    """What the cache may take: its budget, or what it holds and what the disk has free, if less."""
    return min(budget_bytes(), held + shutil.disk_usage(standing_folder()).free)


def _last_used(entry: Path) -> float:
    with contextlib.suppress(OSError):  # deleted by another process
        return entry.stat().st_mtime
    return 0.0


def _gigabytes(count: int) -> str:
    return f"{max(count, 0) / 1e9:.3g} GB"
