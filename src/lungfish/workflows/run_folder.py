"""Where a job is kept while it trains: by where its bundle goes, one job at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungfish.core.cache import cache_folder
from lungfish.core.errors import OutputError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import printable
from lungfish.data.space import make_room, try_folder_lock

LAUNCH = "launch"  # in a job's folder: the name of the `torchrun` that began it


def run_folder(target: Path) -> Path:
    """The folder of the job that makes the bundle `target`."""
    return cache_folder() / "runs" / sha256_bytes(str(target.absolute()).encode())[:24]


def begin_run(target: Path) -> None:
    """Delete what an earlier job for `target` has left. Raises `StorageError`."""
    folder = run_folder(target)
    shutil.rmtree(folder, ignore_errors=True)
    if launch := _launch():
        write_atomic(folder / LAUNCH, launch)


def is_relaunched(target: Path) -> bool:
    """Whether `torchrun` has started this job's processes before, and one failed or machines came or went."""
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0:
        return True
    try:
        return bool(_launch()) and (run_folder(target) / LAUNCH).read_text("utf-8") == _launch()
    except (OSError, ValueError):
        return False


def _launch() -> str:
    """The name that all starts by one `torchrun` share; empty without one."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return "" if name == "none" else name


@contextmanager
def only_run(target: Path) -> Iterator[None]:
    """A block in which this process alone trains for `target`; if it ends well, the job's folder is deleted.

    Raises:
        OutputError: another process is at it.
        StorageError: the cache cannot be written.
    """
    folder = run_folder(target)
    with try_folder_lock(folder) as held:
        if not held:
            raise OutputError(
                f"another process is making {printable(str(target))} this moment",
                "Wait until it has ended, or choose another --out.",
            )
        yield
        shutil.rmtree(folder, ignore_errors=True)
        make_room(folder, 0)  # older runs, stopped and never gone on with
