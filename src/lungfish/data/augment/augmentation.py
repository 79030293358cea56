"""Random views of a photo: a part of it, resized, perhaps mirrored, in another light. None changes its class.

Source: Szegedy et al., arXiv:1409.4842, section 6 (random parts of random size and aspect); Howard, arXiv:1312.5402
(brightness, contrast and saturation in random order).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from lungfish.core.errors import UsageError
from lungfish.core.hashing import sha256_json
from lungfish.runtime.preprocessing import INTERPOLATIONS, Preprocessing

TRIES = 10
LIGHT = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Augmentation:
    """How far a view may differ from its photo.

    Args:
        min_area: least share of the photo's area that a view shows, above 0 and at most 1.
        max_aspect: most that width over height, or height over width, of the part may be, 1 to 10.
        flips: whether every second view is mirrored left to right; not where left and right tell classes apart.
        color: brightness, contrast and saturation are each multiplied by a random number from `1 - color` to
            `1 + color`, 0 to 1.

    Raises:
        UsageError: a value that is not allowed.
    """

    min_area: float = 0.35
    max_aspect: float = 4 / 3
    flips: bool = True
    color: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.min_area <= 1:
            raise UsageError(f"augmentation: min_area is {self.min_area!r}; allowed are numbers above 0 up to 1")
        if not 1 <= self.max_aspect <= 10:
            raise UsageError(f"augmentation: max_aspect is {self.max_aspect!r}; allowed are 1 to 10")
        if not isinstance(self.flips, bool):
            raise UsageError(f"augmentation: flips is {self.flips!r}; allowed are true and false")
        if not 0 <= self.color <= 1:
            raise UsageError(f"augmentation: color is {self.color!r}; allowed are 0 to 1")

    def draft_px(self, preprocess: Preprocessing) -> int:
        """Shorter side that a scaled JPEG decode must keep, so that even the smallest part need not be enlarged."""
        smallest = math.sqrt(self.min_area / self.max_aspect)  # a part's side, relative to the photo's shorter side
        return max(preprocess.draft_px, math.ceil(preprocess.resolution_px / smallest))


def view_rng(seed: int, sha256: str, view: int) -> np.random.Generator:
    """The random numbers of one view of one photo; no other view, photo, order or thread has a say.

    Args:
        seed: of the run.
        sha256: of the photo's bytes, in hexadecimal.
        view: its number.
    """
    return np.random.default_rng(int(sha256_json([seed, sha256, view]), 16))


def augmented(
    image: Image.Image, preprocess: Preprocessing, augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A view of an RGB image: uint8 `[resolution, resolution, 3]`.

    Args:
        image: decoded at `augmentation.draft_px(preprocess)` or larger.
        preprocess: its resolution and interpolation; a view has a crop of its own.
        augmentation: how far the view may differ.
        rng: all chance comes from here.
    """
    mirrored = rng.random() < 0.5  # drawn in any case: the same parts with flips and without
    box = _random_part(image.width, image.height, augmentation, rng)
    size = (preprocess.resolution_px, preprocess.resolution_px)
    view = image.resize(size, INTERPOLATIONS[preprocess.interpolation], box=box)
    if mirrored and augmentation.flips:
        view = ImageOps.mirror(view)
    return np.asarray(_relit(view, augmentation.color, rng))


def _relit(view: Image.Image, color: float, rng: np.random.Generator) -> Image.Image:
    """Another brightness, contrast and saturation, in random order; the same image without `color`."""
    if color:
        for k in rng.permutation(len(LIGHT)):
            view = LIGHT[k](view).enhance(1 + color * (2 * rng.random() - 1))
    return view


def _random_part(width: int, height: int, augmentation: Augmentation, rng: np.random.Generator) -> Box:
    """Area uniform, aspect log-uniform, place uniform; after `TRIES` that do not fit, the largest central part."""
    for _ in range(TRIES):
        area = width * height * (1 - rng.random() * (1 - augmentation.min_area))
        aspect = augmentation.max_aspect ** (2 * rng.random() - 1)
        part_width, part_height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if part_width <= width and part_height <= height:
            left, top = rng.random() * (width - part_width), rng.random() * (height - part_height)
            # rounding must not leave the image
            return left, top, min(left + part_width, width), min(top + part_height, height)
    part_width = min(width, height * augmentation.max_aspect)
    part_height = min(height, width * augmentation.max_aspect)
    left, top = (width - part_width) / 2, (height - part_height) / 2
    return left, top, left + part_width, top + part_height
