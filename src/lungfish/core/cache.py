"""The cache folder: everything in it can be deleted at any time and is made again."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
from pathlib import Path

import platformdirs

from lungfish.core.errors import UsageError

DEFAULT_BUDGET_GB = 10.0


def cache_folder() -> Path:
    """`LUNGFISH_CACHE` if it is set, else this platform's cache folder. It need not exist yet."""
    chosen = os.environ.get("LUNGFISH_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("lungfish", appauthor=False))


def budget_bytes() -> int:
    """How large the whole folder may grow: `LUNGFISH_CACHE_GB` (default 10; `inf` for no limit), in bytes.

    Raises:
        UsageError: the variable is not a positive number.
    """
    text = os.environ.get("LUNGFISH_CACHE_GB", str(DEFAULT_BUDGET_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes > 0:
        raise UsageError(f"LUNGFISH_CACHE_GB is {text!r}; it must be a positive number", "Unset it for 10 GB.")
    return sys.maxsize if math.isinf(gigabytes) else int(gigabytes * 1e9)


def standing_folder() -> Path:
    """The cache folder; as long as it is not there, or may not be seen, the nearest folder above it that is."""
    folder = cache_folder().absolute()
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):  # a folder above may not be entered
            if place.exists():
                return place
    return Path(folder.anchor)


def bytes_of(entry: Path) -> int:
    """Size of a file, or of all files in a folder; 0 for what is not there or may not be seen."""
    with contextlib.suppress(OSError):  # a folder above may not be entered
        if not entry.is_dir():
            return _size(entry)
    return sum(_size(Path(folder, name)) for folder, _, names in os.walk(entry) for name in names)


def _size(file: Path) -> int:
    with contextlib.suppress(OSError):
        about = file.stat()
        return about.st_size if stat.S_ISREG(about.st_mode) else 0
    return 0
