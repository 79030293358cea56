"""Overlay a photo with heat that shows where a network finds a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STRENGTH = 0.75  # opacity of the color at the greatest heat
# Nine equidistant colors of magma, a color map in the public domain (CC0); between them, colors are interpolated.
MAGMA = (
    *((0, 0, 4), (29, 17, 71), (81, 18, 124), (131, 38, 129), (183, 55, 121)),
    *((231, 82, 99), (252, 137, 97), (254, 196, 136), (252, 253, 191)),
)


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> Image.Image:
    """Return the photo in gray, colored by heat.

    The color map is magma: equal steps of heat look equal with any color vision and in black and white.

    Args:
        pixels: uint8 `[height, width, 3]`, RGB.
        heat: float `[rows, columns]`, at least 0, of any size and scale; its maximum gets the strongest color.
    """
    height, width = pixels.shape[:2]
    hottest = float(heat.max())
    scaled = Image.fromarray(np.float32(heat / hottest if hottest else heat))
    share = np.asarray(scaled.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    stops = np.linspace(0, 1, len(MAGMA))
    color = np.stack([np.interp(share, stops, channel) for channel in zip(*MAGMA, strict=True)], axis=-1)
    grey = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)[..., None]
    strength = STRENGTH * share[..., None]
    return Image.fromarray(((1 - strength) * grey + strength * color).round().astype(np.uint8))
