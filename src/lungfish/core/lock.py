"""Locks between processes: files that the system lets go of when their holder ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.core.errors import StorageError
from lungfish.core.extras import missing_extra
from lungfish.core.files import storage_errors
from lungfish.core.folders import make_folder
from lungfish.core.names import printable

if TYPE_CHECKING:
    from filelock import FileLock


@contextmanager
def lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; wait for whoever holds it.

    Args:
        path: of its file, which stays: if it were deleted, two could hold it.
        waiting: called once if another holds it.

    Raises:
        StorageError: the file cannot be written.
        MissingExtraError: filelock is not installed.
    """
    held = _file_lock(path)
    with storage_errors(path):
        if not _acquired(held):
            waiting()
            held.acquire()
    try:
        yield
    finally:
        held.release()


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock unless another does; whether that is so. Raises as `lock`."""
    held = _file_lock(path)
    with storage_errors(path):
        acquired = _acquired(held)
    try:
        yield acquired
    finally:
        if acquired:
            held.release()


def hold(path: Path) -> FileLock | None:
    """Hold a lock for as long as what is returned is kept; None if another holds it. Raises as `lock`."""
    held = _file_lock(path)
    with storage_errors(path):
        return held if _acquired(held) else None


def _file_lock(path: Path) -> FileLock:
    try:
        from filelock import FileLock
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"the lock {path.name}") from None
    with storage_errors(path):
        make_folder(path.parent)
    return FileLock(path, thread_local=False)  # so that whichever thread drops it lets go


def _acquired(held: FileLock) -> bool:
    from filelock import Timeout

    try:
        held.acquire(blocking=False)
    except Timeout:
        return False
    except NotImplementedError:
        shown = printable(held.lock_file)
        raise StorageError(
            f"the file system of {shown} does not support file locks", "Choose a place on a local disk."
        ) from None
    return True
