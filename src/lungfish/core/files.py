"""Files and folders that exist whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungfish.core.errors import LungfishError, StorageError
from lungfish.core.names import printable

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's complaints about `path` into a `StorageError`."""
    try:
        yield
    except OSError as error:
        raise _storage_error(path, error) from error


def _storage_error(path: Path, error: OSError) -> LungfishError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    shown = printable(str(path))
    if error.errno == errno.ENOSPC:
        return StorageError(f"no space left while writing {shown}", "Free some disk space, or choose another place.")
    return StorageError(f"cannot write {shown}: {reason}", "Choose a place that you may write to.")


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` through a temporary file beside it, flushed to disk, then renamed.

    Raises:
        StorageError: disk full, read-only or forbidden; `path` is as it was.
    """
    content = data.encode() if isinstance(data, str) else data
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stage = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            with stage.open("xb") as file:  # with the usual permissions, which tempfile's files have not
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            stage.replace(path)
        except BaseException:
            stage.unlink(missing_ok=True)
            raise


@contextmanager
def staged_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside `target` that becomes `target` when the block ends well.

    If the block raises, `KeyboardInterrupt` included, the temporary folder is removed and `target` is as it was.

    Args:
        target: the folder to bring about; must not exist unless `replace`.
        replace: move an existing `target` aside first and delete it last.

    Raises:
        StorageError: disk full, read-only or forbidden.
    """
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
    try:
        yield stage
        with storage_errors(target):
            _give_usual_permissions(stage)
            _swap_in(stage, target, replace=replace)
    except OSError as error:
        shutil.rmtree(stage, ignore_errors=True)
        if not _is_ours(error, stage):
            raise
        raise _storage_error(_culprit(error, stage, target), error) from error
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise


def _is_ours(error: OSError, stage: Path) -> bool:
    """Whether the block failed to write, be it into `stage` or for want of space anywhere."""
    return error.errno in NO_SPACE or str(stage) in str(error.filename)


def _culprit(error: OSError, stage: Path, target: Path) -> Path:
    """What could not be written, under the name that people know."""
    named = Path(str(error.filename)) if error.filename else target
    return target if stage in (named, *named.parents) else named


def _give_usual_permissions(stage: Path) -> None:
    """Give the permissions that plain writing gives under this umask: temporary files are made private."""
    folder, file = stage / ".folder", stage / ".file"
    folder.mkdir()
    file.touch()
    folder_mode, file_mode = folder.stat().st_mode, file.stat().st_mode
    folder.rmdir()
    file.unlink()
    for path in (stage, *stage.rglob("*")):
        path.chmod(folder_mode if path.is_dir() else file_mode)


def _swap_in(stage: Path, target: Path, *, replace: bool) -> None:
    if not (replace and target.exists()):
        stage.replace(target)
        return
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".old")) / target.name
    target.replace(aside)
    try:
        stage.replace(target)
    except BaseException:
        aside.replace(target)  # if that fails too, the old one stays where it is now
        aside.parent.rmdir()
        raise
    shutil.rmtree(aside.parent, ignore_errors=True)
