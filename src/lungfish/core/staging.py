"""Write a folder next to its target, then rename it, so that it appears whole or not at all.

.NAME.RANDOM.tmp/  next to NAME
  lock             locked as long as the process that created this folder is alive
  owner            Lungfish's signature, the machine's name, and the original device and inode of `new`
  new/             becomes NAME
  old/             was NAME until now
"""

from __future__ import annotations

import contextlib
import glob
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from lungfish.core.durable import flush_folder, flush_tree
from lungfish.core.errors import MachineError
from lungfish.core.files import DISK_ERRORS, storage_error, storage_errors
from lungfish.core.folders import make_folder
from lungfish.core.lock import hold, try_lock
from lungfish.core.renames import exchange, rename_new

NEW, OLD, OWNER, LOCK = "new", "old", "owner", "lock"
SIGNATURE = "A folder that Lungfish writes and will rename; made on "
STAGE = re.compile(r"\.(?P<target>.+)\.[a-z0-9_]{8}\.tmp")


@dataclass(frozen=True)
class Identity:
    """The device and inode of a folder, which identify it whatever its name."""

    device: int
    inode: int

    @classmethod
    def of(cls, folder: Path) -> Identity:
        """Return the identity of a folder, or of a link itself. Raises `OSError`."""
        status = folder.lstat()
        return cls(status.st_dev, status.st_ino)


@contextmanager
def staged_folder(target: Path, place: Callable[[Path, Path], None] | None = None) -> Iterator[Path]:
    """Yield a new folder that is flushed to disk and becomes `target` when the block ends without an error.

    If the block raises, even `KeyboardInterrupt`, the new folder is deleted and `target` is unchanged.

    Args:
        target: The folder to create.
        place: Function that moves the new folder to `target`; `put` by default.

    Raises:
        StorageError: The disk is full or read-only, permission is denied, or `target` exists by now.
    """
    with storage_errors(target):
        make_folder(target.parent)
        stage = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
    new = stage / NEW
    with ExitStack() as cleanup:
        cleanup.callback(end_stage, stage)
        with storage_errors(target):
            new.mkdir()
            created = Identity.of(new)
            cleanup.callback(_discard, new, created)
            _sign(stage, created, cleanup)
        try:
            yield new
            with storage_errors(target):
                flush_tree(stage)
                flush_folder(stage.parent)
                (place or put)(new, target)
        except OSError as error:
            if not _is_stage_error(error, new):
                raise
            raise storage_error(_culprit(error, new, target), error) from error


def put(new: Path, target: Path) -> None:
    """Rename a staged folder to `target` durably. Raises `FileExistsError` if `target` exists, and `OSError`."""
    rename_new(new, target)
    flush_folder(target.parent)
    flush_folder(new.parent)


def swap(new: Path, target: Path) -> Path:
    """Replace the folder at `target` by a staged one, without flushing.

    Returns:
        Path of the old folder, which is now in the stage.

    Raises:
        OSError: A rename fails; `target` is unchanged unless undoing a rename fails as well.
    """
    old = new.with_name(OLD)
    if exchange(new, target):
        try:
            new.rename(old)
        except OSError:
            exchange(new, target)
            raise
        return old
    target.rename(old)
    try:
        rename_new(new, target)
    except OSError:
        rename_new(old, target)
        raise
    return old


def swap_back(old: Path, target: Path) -> None:
    """Undo `swap`. Raises `OSError`."""
    new = old.with_name(NEW)
    if exchange(old, target):
        old.rename(new)
    else:
        target.rename(new)
        rename_new(old, target)


def left_stages(target: Path) -> Iterator[Path]:
    """Yield the stages of `target` that killed processes left behind, each locked while the caller uses it."""
    for stage in sorted(target.parent.glob(f".{glob.escape(target.name)}.*.tmp")):
        name = STAGE.fullmatch(stage.name)
        if not (name and name["target"] == target.name and _is_ours(stage)):
            continue
        with contextlib.suppress(MachineError), try_lock(stage / LOCK) as free:
            if free:
                yield stage


def end_stage(stage: Path) -> None:
    """Delete a stage unless it still contains a folder. Files that the system refuses to delete stay."""
    if any((stage / name).exists() for name in (NEW, OLD)):
        return
    for name in (OWNER, LOCK):
        with contextlib.suppress(OSError):
            (stage / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        stage.rmdir()


def was_staged(stage: Path) -> bool:
    """Return whether `new` in a stage is the folder created there, rather than one moved there by an exchange."""
    try:
        return (stage / OWNER).read_text("utf-8") == _note(Identity.of(stage / NEW))
    except OSError:
        return False


def _is_ours(stage: Path) -> bool:
    """Return whether Lungfish created the stage on this machine.

    A stage is locked before it is signed, so a signed stage with a free lock is no longer in use.
    """
    try:
        return not stage.is_symlink() and (stage / OWNER).read_text("utf-8", "replace").startswith(_signature())
    except OSError:
        return False


def _signature() -> str:
    return f"{SIGNATURE}{platform.node()}\n"


def _note(created: Identity) -> str:
    return f"{_signature()}{created.device} {created.inode}\n"


def _sign(stage: Path, created: Identity, cleanup: ExitStack) -> None:
    """Lock the stage, then write the owner note: a stage with a note is always locked while in use."""
    with contextlib.suppress(MachineError):  # filelock is not installed, or the file system does not support locks
        if file_lock := hold(stage / LOCK):
            cleanup.callback(file_lock.release)
            (stage / OWNER).write_text(_note(created), "utf-8")


def _discard(new: Path, created: Identity) -> None:
    """Delete the staged folder if it is still here; never a folder that an exchange has moved here."""
    with contextlib.suppress(OSError):
        if Identity.of(new) == created:
            shutil.rmtree(new, ignore_errors=True)


def _is_stage_error(error: OSError, new: Path) -> bool:
    """Return whether an error came from writing into `new`, or from the disk itself."""
    return error.errno in DISK_ERRORS or str(new) in str(error.filename)


def _culprit(error: OSError, new: Path, target: Path) -> Path:
    """Return the path that could not be written, as the user knows it."""
    named = Path(str(error.filename)) if error.filename else target
    return target if new in (named, *named.parents) else named
