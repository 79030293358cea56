"""Find the scenes among a job's photos."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungfish.core.progress import Progress
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examined import Examined
from lungfish.data.scan.features import Trunk
from lungfish.data.scan.near_duplicates import NearDuplicates
from lungfish.data.scan.sample import embed_sample
from lungfish.data.scan.scenes import Descriptor, Scenes, find_scenes
from lungfish.runtime.preprocessing import Preprocessing


def describe_scenes(
    photos: PhotoSet,
    examined: Examined,
    copies: NearDuplicates,
    own: tuple[Trunk | None, Preprocessing],
    open_descriptor: Callable[[], Descriptor | None],
    progress: Progress,
) -> Scenes:
    """Find scenes; photos that may belong to one go through the descriptor unless it computed their features already.

    Args:
        photos: Photos as the source lists them.
        examined: Photos after the scan.
        copies: Near-duplicates among them.
        own: Trunk and preprocessing of the scan. If both are those of the descriptor, its features are reused.
        open_descriptor: Function that opens the descriptor, or returns None if it is not on this machine; called on
            demand.
        progress: Receives the progress of the descriptor.

    Raises:
        UnreadablePhotoError: A photo is no longer readable.
    """

    def describe(positions: NDArray[np.int64]) -> NDArray[np.float32] | None:
        descriptor = open_descriptor()
        if descriptor is None:
            return None
        trunk, preprocess = own
        rows = examined.feature_rows[positions]
        if trunk and (trunk.key, preprocess) == (descriptor.trunk.key, descriptor.preprocess) and (rows >= 0).all():
            return examined.features[rows]
        return embed_sample(examined, positions, photos, descriptor.preprocess, descriptor.trunk, progress).features

    return find_scenes(examined.records, copies, describe)
