"""What a port of a network may differ in without being another network. It belongs to weights, not to an `Arch`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lungfish.core.errors import ArchitectureError

Padding = Literal["same", "symmetric"]


@dataclass(frozen=True)
class Flavour:
    """How weights expect to be computed with.

    Args:
        padding: of strided convolutions. `same` as TensorFlow pads (the odd pixel at the bottom and right),
            or `symmetric` (kernel // 2 on every side) as PyTorch's own models do.
        bn_eps: epsilon of batch normalization.
    """

    padding: Padding = "same"
    bn_eps: float = 1e-3

    def __post_init__(self) -> None:
        if self.padding not in ("same", "symmetric"):
            raise ArchitectureError(f"padding is {self.padding!r}; allowed are 'same' and 'symmetric'")
        if not 0 < self.bn_eps < 1:
            raise ArchitectureError(f"bn_eps is {self.bn_eps!r}; allowed are numbers above 0 and below 1")

    def pads(self, size: int, kernel: int, stride: int) -> tuple[int, int]:
        """Pixels to add before and after one side of `size` pixels."""
        if self.padding == "symmetric":
            return kernel // 2, kernel // 2
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2
