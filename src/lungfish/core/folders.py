"""Create folders durably."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lungfish.core.cache import cache_folder, cache_path
from lungfish.core.durable import flush_folder
from lungfish.core.errors import UsageError


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, and flush them to disk; the cache folder also gets its marker.

    Raises:
        OSError: The folder cannot be created.
    """
    with contextlib.suppress(UsageError):  # without a home folder there is no cache
        if folder.is_relative_to(cache_path()):
            cache_folder()  # it may have been deleted while this process runs
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        flush_folder(each.parent)
