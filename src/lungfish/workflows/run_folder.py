"""Where a job is kept while it trains: by where its bundle goes, one job at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungfish.core.cache import cache_folder
from lungfish.core.errors import OutputError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import printable
from lungfish.data.space import make_room, try_folder_lock


def run_folder(target: Path) -> Path:
    """The folder of the job that makes the bundle `target`."""
    return cache_folder() / "runs" / sha256_bytes(str(target.absolute()).encode())[:24]


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
