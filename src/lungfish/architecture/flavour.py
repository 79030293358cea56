"""The details in which ports of the same network differ. They belong to the weights, not to an `Arch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lungfish.core.errors import ArchitectureError

Padding = Literal["same", "symmetric"]


@dataclass(frozen=True)
class Flavour:
    """The padding and batch-norm epsilon that a set of weights was trained with.

    Args:
        padding: Padding of strided convolutions: `same` as in TensorFlow (the odd pixel at the bottom and right), or
            `symmetric` (kernel // 2 on every side) as in torchvision.
        bn_eps: Epsilon of batch normalization.

    Raises:
        ArchitectureError: A value is not allowed.
    """

    padding: Padding = "same"
    bn_eps: float = 1e-3

    def __post_init__(self) -> None:
        if self.padding not in ("same", "symmetric"):
            raise ArchitectureError(f"padding is {self.padding!r}; it must be 'same' or 'symmetric'")
        if not 0 < self.bn_eps < 1:
            raise ArchitectureError(f"bn_eps is {self.bn_eps!r}; it must be a number above 0 and below 1")

    def pads(self, size: int, kernel: int, stride: int) -> tuple[int, int]:
        """Return the padding before and after an axis of `size` pixels."""
        if self.padding == "symmetric":
            return kernel // 2, kernel // 2
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2
