"""Find the shards of a dataset: which files belong together, in which order, and in which splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, product, zip_longest
from math import prod
from pathlib import PurePosixPath

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.sources.assembly import SPLIT_NAMES
from lungfish.data.sources.tree import Tree, suffix_of

MAX_SHARDS = 100_000
_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")
_SPLITS = "|".join(sorted(SPLIT_NAMES, key=len, reverse=True))
# At the beginning, or as a separate word anywhere: imagenet1k-train-0000.tar.
_SPLIT = re.compile(rf"({_SPLITS})|.*?[-_. /]({_SPLITS})(?![^-_. /0-9])", re.IGNORECASE)


def is_pattern(name: str) -> bool:
    """Return whether a name matches several files: `train-{000000..000009}.tar`."""
    return _RANGE.search(name) is not None


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern matches, with numbers zero-padded to the width of the first.

    Raises:
        PhotosError: A range decreases, or there are more than `MAX_SHARDS` names.
    """
    ranges = [(match[1], range(int(match[1]), int(match[2]) + 1)) for match in _RANGE.finditer(pattern)]
    count = prod(max(each.stop - each.start, 0) for _, each in ranges)
    if not 0 < count <= MAX_SHARDS:
        raise PhotosError(
            f"{printable(pattern)} matches {count:,} files",
            f"Write the smaller number first; at most {MAX_SHARDS:,} files are read.",
        )
    texts = [[f"{number:0{len(first)}d}" for number in each] for first, each in ranges]
    form = _RANGE.sub("\0", pattern).split("\0")
    return ["".join(chain.from_iterable(zip_longest(form, chosen, fillvalue=""))) for chosen in product(*texts)]


def shards_of(tree: Tree, suffix: str) -> tuple[str, list[str]]:
    """Return the folder with all files of a suffix, and their names below it; no names if there are none.

    They are at the top, in one folder such as a checkout's `data`, or in folders named after splits.

    Raises:
        PhotosError: They are in several other folders.
    """
    files = [name for name in tree.files if suffix_of(name) == suffix]
    top = [name for name in files if "/" not in name]
    if top or not files:
        return "", top
    folders = sorted({str(PurePosixPath(name).parent) for name in files})
    if len(folders) == 1:
        return folders[0], [PurePosixPath(name).name for name in files]
    if all(map(_split_in, folders)):
        return "", files
    raise PhotosError(
        f"{plural(len(folders), 'folder')} of {suffix} files: {', '.join(map(printable, folders[:10]))}",
        "Give one of them.",
    )


def splits_of(names: Sequence[str]) -> list[str | None]:
    """Return the split in the name of each file or of its folder; None for all if they have the same one.

    Raises:
        PhotosError: Only some are named after splits.
    """
    splits = [_split_in(name) for name in names]
    unnamed = [printable(name) for name, split in zip(names, splits, strict=True) if split is None]
    if unnamed and len(unnamed) < len(names):
        raise PhotosError(
            f"some files are named after splits and some are not: {', '.join(unnamed[:5])}",
            "Name them train*, validation* and test*, or give one file.",
        )
    return splits if len(set(splits)) > 1 else [None] * len(names)


def _split_in(name: str) -> str | None:
    match = _SPLIT.match(name)
    return SPLIT_NAMES[(match[1] or match[2]).lower()] if match else None
