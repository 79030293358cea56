"""How multipliers become whole channels and blocks."""

from __future__ import annotations

import math


def round_width(channels: float) -> int:
    """Nearest multiple of 8, at least 8, and never more than 10 % below `channels`.

    Source: the authors' MobileNetV2 and EfficientNet code.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def round_depth(blocks: float) -> int:
    """Up to whole blocks. A float's last digits (2 * 1.5 as 3.0000000000000004) do not add one."""
    return math.ceil(blocks - 1e-9)
