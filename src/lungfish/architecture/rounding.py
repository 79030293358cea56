"""Round scaled numbers of channels, blocks and pixels.

Floating-point error does not affect the result: 40 * 1.1 is 44, however the 1.1 was computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Rounding = Literal["nearest_8", "down"]
_NOISE = 1e-9


def nearest_8(channels: float) -> int:
    """Round to the nearest multiple of 8, at least 8; add 8 if the result is more than 10 % below `channels`.

    Source: the authors' MobileNetV2 and EfficientNet code.
    """
    rounded = max(8, int(channels + 4 + _NOISE) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels - _NOISE else rounded


def down(channels: float) -> int:
    """Round down to a whole number, but at least 8.

    Source: the authors' MobileNetV1 code.
    """
    return max(int(channels + _NOISE), 8)


def round_depth(blocks: float) -> int:
    """Round up to whole blocks."""
    return math.ceil(blocks - _NOISE)


def round_resolution(pixels: float) -> int:
    """Round to the nearest multiple of 8."""
    return int(pixels / 8 + 0.5 + _NOISE) * 8


ROUNDINGS: dict[Rounding, Callable[[float], int]] = {"nearest_8": nearest_8, "down": down}
