"""Recognize our own files in the cache by name. Only they count against the budget, and only they are deleted."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from lungfish.core.cache import is_marked
from lungfish.core.renames import rename_new
from lungfish.core.staging import LOCK, NEW, OLD, OWNER, STAGE

RUNS, WEIGHTS = "runs", "weights"
_HASH = "[0-9a-f]{64}"
_GOLDEN = r"golden/([a-z]+\.png|pixels\.npy|probabilities\.json)"
_STEP = r"(finetune(-\d{1,2})?|full)(\.jsonl|/job\.json|/\d{8,}\.(json|safetensors))"
# The paths of finished files, relative to each folder of the cache.
FORMS = {
    kind: re.compile(form)
    for kind, form in {
        "activations": rf"{_HASH}/(array\.npy|record\.json)",
        "bundles": rf"[a-z0-9.-]*-[0-9a-f]{{12}}/(model\.onnx|labels\.txt|NOTICE|bundle\.json|{_GOLDEN})",
        "features": rf"{_HASH}/{_HASH}\.npy",
        "inspections": rf"{_HASH}/{_HASH}\.npy",
        "photos": r"[0-9a-f]{32}/\d+\.photos",
        "shards": r"[0-9a-f]{32}\.json",
        RUNS: rf"[0-9a-f]{{24}}/[0-9a-f]{{16}}/(job\.json|{_STEP})",
        WEIGHTS: rf"blobs/({_HASH}(\.[A-Za-z0-9]{{1,16}})?|\.\w{{8}}\.tmp)|checked/{_HASH}|unpacked/{_HASH}(\.json|/.*)"
        rf"|stated/{_HASH}"
        r"|records/[a-z0-9-]*-[0-9a-f]{12}\.json|architectures/[0-9a-f]{16}\.json"
        r"|downloads/[a-z0-9-]*-[0-9a-f]{12}/([^/]+\.part(\.json)?|\.clone-\w{8}/.*)|\.convert-\w{8}/.*",
    }.items()
}
STAGED = ("bundles", f"{WEIGHTS}/unpacked")  # whole folders are staged here: see `lungfish.core.staging`
_UNPACKED = re.compile(rf"(?P<folder>unpacked/{_HASH})/(?P<member>.*)")
_UNFINISHED_FILE = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.tmp")  # see `lungfish.core.files.write_atomic`


def own_files(entry: Path, kind_folder: Path) -> Iterator[Path]:
    """Yield our own regular files at or below `entry`. Links are neither followed nor ours.

    Args:
        entry: A file or folder, which need not exist.
        kind_folder: The folder of its kind (see `FORMS`).
    """
    form = FORMS[kind_folder.name]
    for path in _regular_files(entry):
        name = path.relative_to(kind_folder).as_posix()
        has_own_name = form.fullmatch(_finished(name)) and _is_listed(name, kind_folder)
        if has_own_name or _is_stage_file(path, kind_folder):
            yield path


def own_bytes(entry: Path, kind_folder: Path) -> int:
    """Return the total size of our own files at or below `entry`, in bytes."""
    total = 0
    for path in own_files(entry, kind_folder):
        with contextlib.suppress(OSError):  # deleted by another process
            total += path.lstat().st_size
    return total


def delete_own(entry: Path, kind_folder: Path) -> None:
    """Delete our own files at or below `entry`, then the empty folders, if the cache has our marker.

    Files that the system refuses to delete stay.
    """
    if not is_marked():
        return
    for path in own_files(entry, kind_folder):
        with contextlib.suppress(OSError):  # Windows refuses while another process reads it
            path.unlink()
    if _is_link(entry):
        return
    for folder, _, _ in os.walk(entry, topdown=False):
        with contextlib.suppress(OSError):  # not empty: it contains files that are not ours
            Path(folder).rmdir()


def clear_place(entry: Path, kind_folder: Path) -> None:
    """Free the name of `entry`: delete our own files, and rename anything else to NAME-kept.

    Raises:
        OSError: The rename fails.
    """
    delete_own(entry, kind_folder)
    if os.path.lexists(entry):
        numbers = count(2)
        kept = entry.with_name(f"{entry.name}-kept")
        while os.path.lexists(kept):
            kept = entry.with_name(f"{entry.name}-kept-{next(numbers)}")
        rename_new(entry, kept)


def _regular_files(entry: Path) -> Iterator[Path]:
    if _is_link(entry):
        return
    below = (Path(folder, name) for folder, _, names in os.walk(entry) for name in names)
    for path in chain([entry], below):
        with contextlib.suppress(OSError):  # deleted by another process, or no permission
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def _is_link(entry: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISLNK(entry.lstat().st_mode)
    return False


def _finished(path: str) -> str:
    """Return the path that a staged or temporary file will have when it is finished."""
    *folders, name = path.split("/")
    names: list[str] = []
    for folder in folders:
        stage = STAGE.fullmatch(names[-1]) if names else None
        if stage and folder in (NEW, OLD):
            names[-1] = stage["target"]
        else:
            names.append(folder)
    file = _UNFINISHED_FILE.fullmatch(name)
    return "/".join([*names, file["name"] if file else name])


def _is_stage_file(file: Path, kind_folder: Path) -> bool:
    """Return whether a file is the lock or the owner note of a staged folder."""
    place = file.parent.parent.relative_to(kind_folder.parent).as_posix()
    return file.name in (LOCK, OWNER) and bool(STAGE.fullmatch(file.parent.name)) and place in STAGED


def _is_listed(name: str, kind_folder: Path) -> bool:
    """Return whether a file in the folder of an unpacked archive is listed as its member; True for all other files."""
    unpacked = _UNPACKED.fullmatch(name)
    if not (unpacked and kind_folder.name == WEIGHTS):
        return True
    try:
        listing = json.loads((kind_folder / f"{unpacked['folder']}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(listing, dict) and unpacked["member"] in listing
