"""Compute features of a sample of photos, for datasets larger than a head can use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import UnreadablePhotoError
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examination import ExamineOptions, examine
from lungfish.data.scan.examined import Examined, Record
from lungfish.data.scan.features import Trunk
from lungfish.runtime.preprocessing import Preprocessing


def sample_by_class(
    records: Sequence[Record], positions: NDArray[np.int64], size: int, least: int
) -> NDArray[np.int64]:
    """Return about `size` of the given positions, each class in proportion; all of them if there are no more than that.

    From each class, the photos with the smallest content hashes are taken: a fixed choice that depends neither on names
    nor on the order of the source.

    Args:
        records: Readable photos.
        positions: int64 `[n]`, positions in `records` to choose from.
        size: Number of photos to return.
        least: Least number of photos of each class, even beyond its share.

    Returns:
        int64 `[m]`, ascending.
    """
    share = min(size / max(len(positions), 1), 1.0)
    by_class: dict[int, list[int]] = defaultdict(list)
    for i in sorted(positions.tolist(), key=lambda i: records[i].seen.sha256):
        by_class[records[i].photo.label].append(i)
    taken = (of_class[: max(int(share * len(of_class)), least)] for of_class in by_class.values())
    return np.sort(np.array([i for of_class in taken for i in of_class], np.int64))


def embed_sample(
    examined: Examined,
    positions: NDArray[np.int64],
    photos: PhotoSet,
    preprocess: Preprocessing,
    trunk: Trunk,
    progress: Progress,
) -> Examined:
    """Return `examined` with the features of some photos, which are read again.

    Args:
        examined: Photos without features.
        positions: int64 `[m]`, ascending, positions in its records.
        photos: As for `examine`.
        preprocess: As for `examine`.
        trunk: As for `examine`.
        progress: As for `examine`.

    Raises:
        UnreadablePhotoError: A photo is no longer readable.
    """
    chosen = tuple(examined.records[i].photo for i in positions)
    sample = examine(
        PhotoSet(photos.labels, chosen, photos.reader), preprocess, trunk, ExamineOptions(progress=progress)
    )
    for lost in sample.skipped:
        raise UnreadablePhotoError(f"{printable(lost.file)}: {lost.reason}", "Put it back and run again.")
    rows = np.full(len(examined.records), -1, np.int64)
    rows[positions] = sample.feature_rows
    return replace(
        examined,
        features=sample.features,
        feature_rows=rows,
        decoded=examined.decoded + sample.decoded,
        embedded=sample.embedded,
        warnings=tuple(dict.fromkeys(examined.warnings + sample.warnings)),
    )
