"""A folder that is written beside its place and then appears there whole, or not at all.

.NAME.RANDOM.tmp/  beside NAME
  lock             held as long as the process lives that made this folder
  owner            says that Lungfish made it, on which machine, and which folder `new` was at first
  new/             what becomes NAME
  old/             what was NAME until now
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
    """Which folder it is, whatever its name: device and inode."""

    device: int
    inode: int

    @classmethod
    def of(cls, folder: Path) -> Identity:
        """That of a folder, or of a link itself. Raises `OSError`."""
        status = folder.lstat()
        return cls(status.st_dev, status.st_ino)


@contextmanager
def staged_folder(target: Path, place: Callable[[Path, Path], None] | None = None) -> Iterator[Path]:
    """A new folder that becomes `target` when the block ends well, flushed to disk.

    If the block raises, `KeyboardInterrupt` included, the new folder is deleted and `target` is as it was.

    Args:
        target: the folder to create.
        place: called with the new folder and `target` to put the one at the other; by default `put`.

    Raises:
        StorageError: disk full, read-only or forbidden, or by now something stands at `target`.
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
            if not _is_of_stage(error, new):
                raise
            raise storage_error(_culprit(error, new, target), error) from error


def put(new: Path, target: Path) -> None:
    """Rename a staged folder to a name that is free, durably. Raises `FileExistsError` if it is not, and `OSError`."""
    rename_new(new, target)
    flush_folder(target.parent)
    flush_folder(new.parent)


def swap(new: Path, target: Path) -> Path:
    """Let a staged folder take the place of the folder at `target`; not yet flushed.

    Returns:
        Where the old folder is now: in the stage.

    Raises:
        OSError: the system refuses; `target` is as it was, unless the system has refused to undo a step, too.
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
    """The stages of `target` that were left by processes that were killed; each is held while the caller has it."""
    for stage in sorted(target.parent.glob(f".{glob.escape(target.name)}.*.tmp")):
        name = STAGE.fullmatch(stage.name)
        if not (name and name["target"] == target.name and _is_ours(stage)):
            continue
        with contextlib.suppress(MachineError), try_lock(stage / LOCK) as free:
            if free:
                yield stage


def end_stage(stage: Path) -> None:
    """Delete a stage, unless something is left in it. What the system does not let go stays."""
    if any((stage / name).exists() for name in (NEW, OLD)):
        return
    for name in (OWNER, LOCK):
        with contextlib.suppress(OSError):
            (stage / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        stage.rmdir()


def was_staged(stage: Path) -> bool:
    """Whether `new` in a stage is the folder that was made there, and not one that an exchange has put there."""
    try:
        return (stage / OWNER).read_text("utf-8") == _note(Identity.of(stage / NEW))
    except OSError:
        return False


def _is_ours(stage: Path) -> bool:
    """Whether this machine made the folder. Only locked folders are signed: the lock tells whether the maker lives."""
    try:
        return not stage.is_symlink() and (stage / OWNER).read_text("utf-8", "replace").startswith(_signature())
    except OSError:
        return False


def _signature() -> str:
    return f"{SIGNATURE}{platform.node()}\n"


def _note(created: Identity) -> str:
    return f"{_signature()}{created.device} {created.inode}\n"


def _sign(stage: Path, created: Identity, cleanup: ExitStack) -> None:
    """Hold the lock, then say whose the folder is: whoever sees the note can rely on the lock."""
    with contextlib.suppress(MachineError):  # filelock is not installed, or the file system does not support locks
        if held := hold(stage / LOCK):
            cleanup.callback(held.release)
            (stage / OWNER).write_text(_note(created), "utf-8")


def _discard(new: Path, created: Identity) -> None:
    """Delete what was staged, unless it was put in its place; never a folder that an exchange has put here."""
    with contextlib.suppress(OSError):
        if Identity.of(new) == created:
            shutil.rmtree(new, ignore_errors=True)


def _is_of_stage(error: OSError, new: Path) -> bool:
    """Whether the error came from writing into `new`, or from the disk itself."""
    return error.errno in DISK_ERRORS or str(new) in str(error.filename)


def _culprit(error: OSError, new: Path, target: Path) -> Path:
    """What could not be written, under the name that people know."""
    named = Path(str(error.filename)) if error.filename else target
    return target if new in (named, *named.parents) else named
