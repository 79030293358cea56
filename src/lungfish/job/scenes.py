"""The scenes of a job's photos."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lungfish.core.progress import Progress
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examination import Examined
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
    """Find scenes; photos whose features are not those of the descriptor go through it, if they may be of one.

    Args:
        photos: as the source lists them.
        examined: the photos after the pass.
        copies: near-duplicates among them.
        own: the trunk and the resize rule of the pass. If they are those of the descriptor, nothing is computed again.
        open_descriptor: called if it is needed; None if it is not on this machine.
        progress: told of the descriptor's pass.

    Raises:
        UnreadablePhotoError: a photo that could be read before cannot be now.
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
