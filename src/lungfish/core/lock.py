"""File locks between processes; the system releases a lock when its holder exits or crashes."""

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
    """Hold a lock within the block, waiting until it is free.

    Args:
        path: Path of the lock file. It is never deleted: otherwise two processes could hold the lock.
        waiting: Called once if another process holds the lock.

    Raises:
        StorageError: The file cannot be written.
        MissingExtraError: filelock is not installed.
    """
    file_lock = _file_lock(path)
    with storage_errors(path):
        if not _acquired(file_lock):
            waiting()
            file_lock.acquire()
    try:
        yield
    finally:
        file_lock.release()


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock within the block if it is free, and yield whether it was. Raises as `lock` does."""
    file_lock = _file_lock(path)
    with storage_errors(path):
        acquired = _acquired(file_lock)
    try:
        yield acquired
    finally:
        if acquired:
            file_lock.release()


def hold(path: Path) -> FileLock | None:
    """Acquire a lock for as long as the returned object exists; None if another process holds it. Raises as `lock`."""
    file_lock = _file_lock(path)
    with storage_errors(path):
        return file_lock if _acquired(file_lock) else None


def _file_lock(path: Path) -> FileLock:
    try:
        from filelock import FileLock
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"the lock {path.name}") from None
    with storage_errors(path):
        make_folder(path.parent)
    return FileLock(path, thread_local=False)  # any thread may release it


def _acquired(file_lock: FileLock) -> bool:
    from filelock import Timeout

    try:
        file_lock.acquire(blocking=False)
    except Timeout:
        return False
    except NotImplementedError:
        shown = printable(file_lock.lock_file)
        raise StorageError(
            f"the file system of {shown} does not support file locks", "Choose a folder on a local disk."
        ) from None
    return True
