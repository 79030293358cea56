"""The cache folder: everything in it can be deleted at any time and is made again.

It is a folder of our own below the one that the user names, made with a marker in it. Where there is no marker, nothing
is ever deleted: the folder may be somebody's.

What is in it is believed later. A cache that other users can write to is not supported: see docs/security.md.
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
MARKER = "CACHEDIR.TAG"  # https://bford.info/cachedir: programs that back up leave such folders out
SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55\n# Lungfish made this folder"
MARKER_TEXT = SIGNATURE + b", and deletes from it what it has made.\n"
_limits_gb: list[float] = []  # of the jobs that run in this process


def cache_home() -> Path:
    """The folder that holds the cache: `LUNGFISH_CACHE` if it is set, else this platform's place for caches.

    Raises:
        UsageError: there is no home folder: of this user, or of the one whom `LUNGFISH_CACHE` names.
    """
    chosen = os.environ.get("LUNGFISH_CACHE")
    if chosen:
        return expanded(chosen, "LUNGFISH_CACHE")
    try:
        return Path(platformdirs.user_cache_dir("lungfish", appauthor=False))
    except RuntimeError:
        raise UsageError(
            "this user has no home folder, so there is no place for the cache", "Set LUNGFISH_CACHE to a folder."
        ) from None


def cache_path() -> Path:
    """Where the cache is or would be; nothing is made. Raises `UsageError` as `cache_home`."""
    return cache_home() / FOLDER


def cache_folder() -> Path:
    """The cache, made now if it is not there and can be: for this user alone, since copies of photos lie in it.

    Raises `UsageError` as `cache_home`. Where it cannot be made, whoever writes to it gets the error.
    """
    folder = cache_path()
    with contextlib.suppress(OSError):
        if not (folder / MARKER).exists():
            _make(folder)
    return folder


def advice_on_cache() -> str:
    """What to say of a cache that is not a folder that we made; empty if all is well."""
    folder = cache_path()
    if is_marked() or not os.path.lexists(folder):
        return ""
    return f"{printable(str(folder))} was not made by Lungfish: nothing in it is ever deleted, and others may read it"


def is_marked() -> bool:
    """Whether the cache is a folder that we made, so that things may be deleted from it."""
    try:
        return (cache_path() / MARKER).read_bytes().startswith(SIGNATURE)
    except OSError:
        return False


def _make(folder: Path) -> None:
    """Make the cache with its marker in one step. A folder of that name that holds anything stays as it is."""
    if folder.exists() and any(folder.iterdir()):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{FOLDER}.", suffix=".tmp"))  # with mode 0700
    try:
        (stage / MARKER).write_bytes(MARKER_TEXT)
        stage.replace(folder)  # also in place of an empty folder, where the system allows it
    except OSError:  # it is there by now
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def cache_limit(gigabytes: float | None) -> Iterator[None]:
    """Let the cache grow no larger within the block, whichever thread asks; None for what the user has set.

    Of several jobs in a process, which share the cache, the one that allows least decides.
    """
    limit_cache(gigabytes)
    try:
        yield
    finally:
        if gigabytes is not None:
            _limits_gb.remove(gigabytes)


def limit_cache(gigabytes: float | None) -> None:
    """Let the cache grow no larger as long as this process lives; None for what the user has set."""
    if gigabytes is not None:
        _limits_gb.append(gigabytes)


def cache_limit_gb() -> float | None:
    """Return the limit of the jobs in this process; None for what the user has set."""
    return min(_limits_gb, default=None)


def budget_bytes() -> int:
    """How large the whole folder may grow, in bytes.

    It is what `cache_limit` says, else `LUNGFISH_CACHE_GB` (default 10; `inf` for no limit).

    Raises:
        UsageError: the variable is not a positive number.
    """
    limit_gb = cache_limit_gb()
    gigabytes = _of_the_user() if limit_gb is None else limit_gb
    return sys.maxsize if math.isinf(gigabytes) else int(gigabytes * 1e9)


def _of_the_user() -> float:
    text = os.environ.get("LUNGFISH_CACHE_GB", str(DEFAULT_BUDGET_GB))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes > 0:
        raise UsageError(f"LUNGFISH_CACHE_GB is {text!r}; it must be a positive number", "Unset it for 10 GB.")
    return gigabytes


def standing_folder() -> Path:
    """The cache folder; as long as it is not there, or may not be seen, the nearest folder above it that is."""
    folder = cache_path().absolute()
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):  # a folder above may not be entered
            if place.exists():
                return place
    return Path(folder.anchor)
