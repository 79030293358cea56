"""The cache folder: everything in it can be deleted at any time and is made again."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

import platformdirs

from lungfish.core.errors import UsageError

DEFAULT_BUDGET_GB = 10.0


def cache_folder() -> Path:
    """`LUNGFISH_CACHE` if it is set, else this platform's cache folder. It need not exist yet."""
    chosen = os.environ.get("LUNGFISH_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("lungfish", appauthor=False))


def budget_bytes() -> int:
    """How large the cache may grow: `LUNGFISH_CACHE_GB` (default 10), in bytes.

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
    return int(gigabytes * 1e9)


def prune_cache(folder: Path, budget: int, keep: Collection[Path] = ()) -> list[Path]:
    """Delete the least recently used entries (direct children) of `folder` until it holds `budget` bytes or less.

    Args:
        folder: a folder of independent entries, each a file or a folder.
        budget: bytes that may stay.
        keep: entries that stay whatever they weigh (those in use).

    Returns:
        The deleted entries.
    """
    if not folder.is_dir():
        return []
    entries = sorted(folder.iterdir(), key=_last_used)
    sizes = {entry: bytes_of(entry) for entry in entries}
    held, deleted = sum(sizes.values()), []
    for entry in entries:
        if held <= budget:
            break
        if entry in keep:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
        held -= sizes[entry]
        deleted.append(entry)
    return deleted


def bytes_of(entry: Path) -> int:
    """Size of a file, or of all files in a folder; 0 for what is not there."""
    files = entry.rglob("*") if entry.is_dir() else [entry]
    return sum(map(_size, files))


def _last_used(entry: Path) -> float:
    with contextlib.suppress(FileNotFoundError):  # deleted by another process
        return entry.stat().st_mtime
    return 0.0


def _size(file: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_size if file.is_file() else 0
    return 0
