"""Cache the features of a frozen trunk on disk, by photo content."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import PIL
from numpy.typing import NDArray

from lungfish.core.cache import cache_folder
from lungfish.core.hashing import sha256_json
from lungfish.data.scan.row_store import RowStore
from lungfish.runtime.preprocessing import Preprocessing


class Trunk(Protocol):
    """A frozen network up to its features. Called from several threads at once.

    A row must not depend on the other rows of its batch: a photo's features are identical, bit by bit, in every batch.
    """

    @property
    def key(self) -> str:
        """Hash of weights, architecture and engine."""
        ...

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        ...

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """Map pixels, uint8 `[n, height, width, 3]`, to features, float32 `[n, width]`."""
        ...


def features_folder(trunk: Trunk, preprocess: Preprocessing) -> Path:
    """Return the cache folder for features of this trunk, with this preprocessing and this decoder."""
    key = sha256_json({"trunk": trunk.key, "pillow": PIL.__version__, "preprocess": preprocess.to_json()})
    return cache_folder() / "features" / key


def open_features(trunk: Trunk, preprocess: Preprocessing) -> RowStore:
    """Return the feature cache: SHA-256 of a photo's bytes to float32 `[trunk.width]`."""
    return RowStore(features_folder(trunk, preprocess), np.dtype(("<f4", (trunk.width,))))
