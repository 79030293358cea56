"""Find consecutive photos, by the numbers in their names or by their capture times."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from lungfish.data.scan.capture_time import seconds
from lungfish.data.scan.examined import Record

MAX_NUMBER_GAP = 3
MAX_TIME_GAP_S = 60
REACH = 3  # next photos to compare, so that one odd photo does not end a burst
_NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$")
_STAMP = re.compile(r"(?<!\d)((?:19|20)\d{6})[-_T]?(\d{6})(?=\D|\d{3}(?!\d)|$)")


def consecutive_pairs(records: Sequence[Record]) -> NDArray[np.int64]:
    """Return the pairs of photos of one class and folder that follow each other closely.

    Names are consecutive if they differ only in their last number, by at most `MAX_NUMBER_GAP`. Times (from EXIF, else
    from the name, as in `IMG_20200131_101500.jpg`) are consecutive if they differ by at most `MAX_TIME_GAP_S`. Names
    that a source made up for rows of a table are ignored.

    Returns:
        int64 `[m, 2]`, first index below second, sorted, each pair once.
    """
    runs: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
    for i, record in enumerate(records):
        photo = record.photo
        folder, stem = _place(record)
        time = record.taken
        if photo.row < 0:
            time = _stamp(stem) if time is None else time
            if numbered := _NUMBER.match(stem):
                before, digits, after = numbered.groups()
                runs[photo.label, folder, before, after].append((int(digits[-15:]), i))
        if time is not None:
            runs[photo.label].append((time, i))
    pairs = [
        (min(i, j), max(i, j))
        for run, members in runs.items()
        for i, j in _neighbors(sorted(members), MAX_NUMBER_GAP if isinstance(run, tuple) else MAX_TIME_GAP_S)
    ]
    return np.unique(np.array(pairs, np.int64).reshape(-1, 2), axis=0)


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Return a sort key that puts `a9` before `a10`."""
    return [(part.isdecimal(), int(part[-15:]) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def _place(record: Record) -> tuple[str, str]:
    """Return folder and stem, without the split folder: photos in `train/cat` and `test/cat` are in one folder."""
    folder, _, file = record.photo.name.rpartition("/")
    if record.photo.split is not None:
        folder = folder.partition("/")[2]
    return folder, file.rpartition(".")[0] or file


def _stamp(stem: str) -> int | None:
    found = _STAMP.search(stem)
    return seconds("".join(found.groups()), "%Y%m%d%H%M%S") if found else None


def _neighbors(ordered: Sequence[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    return [
        (i, j)
        for k, (value, i) in enumerate(ordered)
        for other, j in ordered[k + 1 : k + 1 + REACH]
        if other - value <= gap
    ]
