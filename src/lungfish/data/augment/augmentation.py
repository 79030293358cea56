"""Make random views of a photo that keep its class: crop, resize, mirror, and change the light.

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
    """Limits on how much a view differs from its photo.

    Args:
        min_area: Smallest share of the photo's area in a view, above 0 and at most 1.
        max_aspect: Largest ratio of the sides of the crop, 1 to 10.
        flips: Whether to mirror each view with probability 0.5; turn off if left and right distinguish classes.
        color: Brightness, contrast and saturation are each multiplied by a random number from `1 - color` to `1 +
            color`; 0 to 1.

    Raises:
        UsageError: A value is not allowed.
    """

    min_area: float = 0.35
    max_aspect: float = 4 / 3
    flips: bool = True
    color: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.min_area <= 1:
            raise UsageError(f"augmentation: min_area is {self.min_area!r}; it must be above 0 and at most 1")
        if not 1 <= self.max_aspect <= 10:
            raise UsageError(f"augmentation: max_aspect is {self.max_aspect!r}; it must be 1 to 10")
        if not isinstance(self.flips, bool):
            raise UsageError(f"augmentation: flips is {self.flips!r}; it must be true or false")
        if not 0 <= self.color <= 1:
            raise UsageError(f"augmentation: color is {self.color!r}; it must be 0 to 1")

    def draft_px(self, preprocess: Preprocessing) -> int:
        """Return the shorter side that a JPEG decode must keep so that even the smallest crop is not enlarged."""
        smallest = math.sqrt(self.min_area / self.max_aspect)  # side of a crop, relative to the photo's shorter side
        return max(preprocess.draft_px, math.ceil(preprocess.resolution_px / smallest))


def view_rng(seed: int, sha256: str, view: int) -> np.random.Generator:
    """Return the random generator of one view of one photo; it depends on nothing else.

    Args:
        seed: Seed of the run.
        sha256: SHA-256 of the photo's bytes, in hexadecimal.
        view: Number of the view.
    """
    return np.random.default_rng(int(sha256_json([seed, sha256, view]), 16))


def augmented(
    image: Image.Image, preprocess: Preprocessing, augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return a view of an RGB image, uint8 `[resolution, resolution, 3]`.

    Args:
        image: Image, decoded at `augmentation.draft_px(preprocess)` or larger.
        preprocess: Preprocessing whose resolution and interpolation are used; its crop is not.
        augmentation: Limits of the augmentation.
        rng: Generator of all random numbers.
    """
    mirrored = rng.random() < 0.5  # always drawn, so that flips do not change the crops
    box = _random_part(image.width, image.height, augmentation, rng)
    size = (preprocess.resolution_px, preprocess.resolution_px)
    view = image.resize(size, INTERPOLATIONS[preprocess.interpolation], box=box)
    if mirrored and augmentation.flips:
        view = ImageOps.mirror(view)
    return np.asarray(_relit(view, augmentation.color, rng))


def _relit(view: Image.Image, color: float, rng: np.random.Generator) -> Image.Image:
    """Change brightness, contrast and saturation in random order; return the same image if `color` is 0."""
    if color:
        for k in rng.permutation(len(LIGHT)):
            view = LIGHT[k](view).enhance(1 + color * (2 * rng.random() - 1))
    return view


def _random_part(width: int, height: int, augmentation: Augmentation, rng: np.random.Generator) -> Box:
    """Return a random crop: area and place uniform, aspect log-uniform; the largest central one if no try fits."""
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
