"""Find copies among photos: the same file, or the same picture re-encoded, resized or changed in brightness.

Candidates are pairs whose 64-bit perceptual hashes differ in at most `MAX_DISTANCE` bits. They are found without
comparing all pairs: each of 28 tables is sorted by two of the hash's eight bytes, and photos that share two bytes are
compared, which covers all pairs up to 6 bits and most up to 10. Most candidates are merely similar (a coat on a white
background, another handwritten 7); copies are those whose tiny thumbnails agree cell by cell, up to brightness.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lungfish.data.scan.inspection import Inspection

MAX_DISTANCE = 10
# Where many hashes are alike (blank pictures), each photo is compared with at most this many neighbors.
MAX_NEIGHBORS = 256
# Limits on thumbnails after brightness is fitted. Measured on clothing-small, CIFAR-10 and the handwritten digits:
# copies differ by at most 10 levels in 99 % of cases (24 for 32-pixel pictures), other pairs by 31 or more.
MAX_CELL_DIFFERENCE = 24.0
MAX_RELATIVE_RMS = 0.2
GAIN_RANGE = (0.85, 1.18)
LEAST_CONTRAST = 2.0  # levels; below it a picture is blank, and only an equal one is its copy
PAIRS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class NearDuplicates:
    """Copies among photos.

    Args:
        pairs: int64 `[m, 2]`, first index below second; enough pairs to connect every group.
        groups: int64 `[n]`, the smallest index of each photo's group; the photo's own index if it has no copy.
    """

    pairs: NDArray[np.int64]
    groups: NDArray[np.int64]


def find_near_duplicates(photos: Sequence[Inspection]) -> NearDuplicates:
    """Group the copies among `photos`. Time grows as n log n, memory as n.

    Args:
        photos: Inspections with the same preprocessing.
    """
    first: dict[str, int] = {}
    exact = [(first.setdefault(photo.sha256, i), i) for i, photo in enumerate(photos)]
    distinct = np.fromiter(first.values(), np.int64, len(first))
    pairs = [np.array([pair for pair in exact if pair[0] != pair[1]], np.int64).reshape(-1, 2)]
    if len(distinct):
        hashes = np.array([photos[i].phash for i in distinct], np.uint64)
        signatures = np.stack([photos[i].signature for i in distinct]).reshape(len(distinct), -1)
        pairs += [
            distinct[batch[are_copies(signatures[batch[:, 0]], signatures[batch[:, 1]])]] for batch in _batches(hashes)
        ]
    together = np.unique(np.concatenate(pairs), axis=0)
    return NearDuplicates(together, join(len(photos), together))


def are_copies(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether thumbnails show the same picture: equal up to the brightness and contrast of the whole picture.

    Blank pictures, which have no contrast to compare, must have the same brightness.

    Args:
        a: uint8 `[n, values]`.
        b: uint8 `[n, values]`.

    Returns:
        bool `[n]`.
    """
    a_mean, b_mean = (each.mean(axis=1, keepdims=True, dtype=np.float32) for each in (a, b))
    a_centered, b_centered = a - a_mean, b - b_mean
    energy = np.maximum((a_centered**2).sum(axis=1), 1e-6)
    gain = np.clip((a_centered * b_centered).sum(axis=1) / energy, *GAIN_RANGE)
    difference = a_centered * gain[:, None] - b_centered
    rms = np.sqrt((difference**2).mean(axis=1))
    contrast = np.minimum(a_centered.std(axis=1), b_centered.std(axis=1))
    close = np.abs(difference).max(axis=1) <= MAX_CELL_DIFFERENCE
    bright = (contrast >= LEAST_CONTRAST) | (np.abs(a_mean - b_mean)[:, 0] <= LEAST_CONTRAST)
    same: NDArray[np.bool_] = bright & close & (rms <= MAX_RELATIVE_RMS * np.maximum(contrast, LEAST_CONTRAST))
    return same


def join(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the connected groups, int64 `[count]`: the smallest index of each item's group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(links, directed=False)
    _, smallest, inverse = np.unique(group, return_index=True, return_inverse=True)
    return smallest[inverse].astype(np.int64)


def _batches(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield candidate pairs, at most once per table, in batches of bounded size."""
    for candidates in _candidates(hashes):
        for start in range(0, len(candidates), PAIRS_AT_ONCE):
            yield candidates[start : start + PAIRS_AT_ONCE]


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs `[m, 2]` of indices whose hashes are close."""
    by_hash = np.argsort(hashes, kind="stable")
    ordered = hashes[by_hash]
    for table, (low, high) in enumerate(combinations(range(8), 2)):
        key = _byte(ordered, low) << np.uint64(8) | _byte(ordered, high)
        by_key = np.argsort(key, kind="stable")
        key, values, order = key[by_key], ordered[by_key], by_hash[by_key]
        near = np.arange(len(order))
        for step in range(1, MAX_NEIGHBORS + 1):
            near = near[near < len(order) - step]
            near = near[key[near] == key[near + step]]
            if not len(near):
                break
            different = np.bitwise_count(values[near] ^ values[near + step])
            # equal hashes are neighbors in every table; the first table is enough
            close = near[(different <= MAX_DISTANCE) & ((different > 0) | (table == 0))]
            if len(close):
                yield np.sort(np.stack([order[close], order[close + step]], axis=1), axis=1)


def _byte(values: NDArray[np.uint64], number: int) -> NDArray[np.uint64]:
    return values >> np.uint64(8 * number) & np.uint64(255)
