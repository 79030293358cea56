"""New folders."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lungfish.core.cache import cache_folder, cache_path
from lungfish.core.durable import flush_folder
from lungfish.core.errors import UsageError


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, durably; if the cache is among them, with its marker.

    Raises:
        OSError: the system refuses.
    """
    with contextlib.suppress(UsageError):  # there is no place for a cache
        if folder.is_relative_to(cache_path()):
            cache_folder()  # somebody may have deleted it while this process runs
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        flush_folder(each.parent)
