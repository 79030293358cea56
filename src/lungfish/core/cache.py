"""Locate, create and limit the cache folder. Everything in it can be deleted at any time and is rebuilt when needed.

The cache is a subfolder of the one that the user names, and Lungfish creates it with a marker file. Without the marker
nothing is ever deleted, since the folder may belong to someone else.

Cached content is trusted. A cache that other users can write to is not supported: see docs/security.md.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from lungfish.core.errors import UsageError
from lungfish.core.names import expanded, printable

DEFAULT_BUDGET_GB = 10.0
FOLDER = "lungfish-cache"
MARKER = "CACHEDIR.TAG"  # backup programs skip such folders: https://bford.info/cachedir
SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Lungfish made this folder"
MARKER_TEXT = SIGNATURE + b" and may delete the files that it wrote here.\n"
_limits_gb: list[float] = []  # one for each job in this process that sets a limit


def cache_home() -> Path:
    """Return the parent of the cache folder: `LUNGFISH_CACHE` if set, else the platform's folder for caches.

    Raises:
        UsageError: This user, or the one that `LUNGFISH_CACHE` names, has no home folder.
    """
    chosen = os.environ.get("LUNGFISH_CACHE")
    if chosen:
        return expanded(chosen, "LUNGFISH_CACHE")
    try:
        return Path(platformdirs.user_cache_dir("lungfish", appauthor=False))
    except RuntimeError:
        raise UsageError(
            "this user has no home folder to put the cache in", "Set LUNGFISH_CACHE to a folder."
        ) from None


def cache_path() -> Path:
    """Return the path of the cache without creating it. Raises `UsageError` as `cache_home` does."""
    return cache_home() / FOLDER


def cache_folder() -> Path:
    """Return the cache folder; create it if possible, private to this user, since it holds copies of photos.

    If it cannot be created, writing to it raises the error later. Raises `UsageError` as `cache_home` does.
    """
    folder = cache_path()
    with contextlib.suppress(OSError):
        if not (folder / MARKER).exists():
            _make(folder)
    return folder


def advice_on_cache() -> str:
    """Return a warning about a cache folder that Lungfish did not create; empty if there is nothing to report."""
    folder = cache_path()
    if is_marked() or not os.path.lexists(folder):
        return ""
    return (
        f"{printable(str(folder))} was not created by Lungfish: nothing in it will be deleted, "
        "and other users may be able to read it"
    )


def is_marked() -> bool:
    """Return whether Lungfish created the cache folder and may therefore delete from it."""
    try:
        return (cache_path() / MARKER).read_bytes().startswith(SIGNATURE)
    except OSError:
        return False


def _make(folder: Path) -> None:
    """Create the cache with its marker in one step. An existing folder that is not empty is left alone."""
    if folder.exists() and any(folder.iterdir()):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{FOLDER}.", suffix=".tmp"))  # has mode 0700
    try:
        (stage / MARKER).write_bytes(MARKER_TEXT)
        stage.replace(folder)  # replaces an empty folder too, where the system allows it
    except OSError:  # another process created it meanwhile
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def cache_limit(gigabytes: float | None) -> Iterator[None]:
    """Limit the cache within the block, in all threads. Where several jobs set a limit, the smallest one applies.

    Args:
        gigabytes: Largest size of the cache; None for the user's own limit.
    """
    limit_cache(gigabytes)
    try:
        yield
    finally:
        if gigabytes is not None:
            _limits_gb.remove(gigabytes)


def limit_cache(gigabytes: float | None) -> None:
    """Limit the cache for the lifetime of this process; None for the user's own limit."""
    if gigabytes is not None:
        _limits_gb.append(gigabytes)


def cache_limit_gb() -> float | None:
    """Return the limit of the jobs in this process; None for the user's own limit."""
    return min(_limits_gb, default=None)


def budget_bytes() -> int:
    """Return the largest allowed size of the cache folder, in bytes.

    The limit of `cache_limit` applies, else `LUNGFISH_CACHE_GB` (default 10; `inf` for no limit).

    Raises:
        UsageError: The variable is not a positive number.
    """
    limit_gb = cache_limit_gb()
    gigabytes = _user_limit_gb() if limit_gb is None else limit_gb
    return sys.maxsize if math.isinf(gigabytes) else int(gigabytes * 1e9)


def _user_limit_gb() -> float:
    text = os.environ.get("LUNGFISH_CACHE_GB", str(DEFAULT_BUDGET_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes > 0:
        raise UsageError(f"LUNGFISH_CACHE_GB is {text!r}; it must be a positive number", "Unset it for 10 GB.")
    return gigabytes


def standing_folder() -> Path:
    """Return the cache folder, or its nearest parent that exists and is accessible."""
    folder = cache_path().absolute()
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):  # no permission to enter a parent
            if place.exists():
                return place
    return Path(folder.anchor)
