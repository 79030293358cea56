"""Two signatures of a picture."""

import sys

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import MissingExtraError
from lungfish.data.scan.inspection import perceptual_hash


def pictures() -> list[Image.Image]:
    """Noise, gradients, and one flat picture, of several sizes and modes."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in (8, 32, 64, 224)]
    sides = [np.arange(side) for side in (40, 224)]
    slopes = [np.add.outer(side, factor * side) % 256 for side in sides for factor in (0, 1, 3)]
    arrays = [*noise, *(slope.astype(np.uint8) for slope in slopes), np.full((64, 64), 7, np.uint8)]
    return [Image.fromarray(array) for array in arrays]


def test_the_hash_is_that_of_imagehash() -> None:
    imagehash = pytest.importorskip("imagehash")
    for picture in pictures():
        assert perceptual_hash(picture) == int(str(imagehash.phash(picture)), 16)


def test_a_smaller_copy_has_almost_the_same_hash() -> None:
    picture = pictures()[3].resize((300, 300), Image.Resampling.BICUBIC)
    difference = perceptual_hash(picture) ^ perceptual_hash(picture.resize((150, 150), Image.Resampling.BICUBIC))
    assert difference.bit_count() <= 4


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.fftpack", None)
    with pytest.raises(MissingExtraError, match=r"needs SciPy[^$]*pip install .*\[train\]"):
        perceptual_hash(pictures()[0])
