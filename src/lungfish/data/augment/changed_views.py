"""Change photos in fixed ways that keep their class: framing, angle, light, color and sharpness.

The changed views estimate how a network performs in places that the validation photos do not show. No recipe trains on
exactly these changes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

ROTATION_DEG = 15.0
CROP = 0.7  # share of the side
GAMMA = 1.8
RED_GAIN, BLUE_GAIN = 1.25, 0.75  # warm light, like that of a bulb
BLUR = 0.012  # radius as a share of the side


def changed_views(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a photo under each change.

    Args:
        pixels: Plain view, uint8 `[side, side, 3]`.

    Returns:
        uint8 `[len(CHANGES), side, side, 3]`.
    """
    image = Image.fromarray(pixels)
    return np.stack([np.asarray(change(image)) for change in CHANGES.values()])


def _cropped(image: Image.Image) -> Image.Image:
    """Return the upper left part: the object is larger and off center."""
    part = round(CROP * image.width)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(0, 0, part, part))


def _rotated(image: Image.Image) -> Image.Image:
    """Rotate, and crop the empty corners."""
    turned = image.rotate(ROTATION_DEG, Image.Resampling.BICUBIC)
    angle = np.deg2rad(ROTATION_DEG)
    margin = image.width * (1 - 1 / (np.cos(angle) + np.sin(angle))) / 2 + 2  # 2: pixels at the edge are blended
    box = (margin, margin, image.width - margin, image.height - margin)
    return turned.resize(image.size, Image.Resampling.BICUBIC, box=box)


def _darkened(image: Image.Image) -> Image.Image:
    return image.point([round(255 * (value / 255) ** GAMMA) for value in range(256)] * 3)


def _warmed(image: Image.Image) -> Image.Image:
    return image.point([min(round(gain * value), 255) for gain in (RED_GAIN, 1.0, BLUE_GAIN) for value in range(256)])


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(BLUR * image.width))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "cropped": _cropped,
    "rotated": _rotated,
    "darkened": _darkened,
    "warmed": _warmed,
    "blurred": _blurred,
}
