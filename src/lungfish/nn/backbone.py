"""Networks without a classifier that return a feature map at each stride, for detection and segmentation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from lungfish.architecture import Arch
from lungfish.nn.network import Network


@dataclass(frozen=True)
class Level:
    """One feature map.

    Args:
        stride: Side of the input divided by the side of the map.
        channels: Channels of the map.
        block: Index of the block that computes it; -1 is the stem.
    """

    stride: int
    channels: int
    block: int


class Backbone(nn.Module):
    """A module that returns the last feature map of each stride; `lungfish.build(..., features_only=True)` builds it.

    `forward` takes the same input as the network and returns a tuple, finest first, of float `[n, level.channels,
    height / level.stride, width / level.stride]`, with sides rounded up. Stem and blocks are shared with the network
    and have the same names.

    Args:
        network: Network whose stem and blocks are used.

    Attributes:
        arch: Architecture of the network.
        weights: Name of the pretrained weights; None if they are random.
        preprocessing: Preprocessing that the weights expect; None if they are random.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.train(network.training)
        self.arch, self.weights, self.preprocessing = network.arch, network.weights, network.preprocessing
        self.levels = levels(network.arch)
        self.stem, self.blocks = network.stem, network.blocks

    def forward(self, x_nchw: Tensor) -> tuple[Tensor, ...]:
        maps = [self.stem(x_nchw)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return tuple(maps[level.block + 1] for level in self.levels)


def levels(arch: Arch) -> tuple[Level, ...]:
    """Return the feature maps of an architecture, finest first; all named ones have strides 2, 4, 8, 16 and 32."""
    found = {2: Level(2, arch.stem_width, -1)}
    stride, block = 2, -1
    for row, channels, depth in zip(arch.table.rows, arch.stage_widths, arch.stage_depths, strict=True):
        stride, block = stride * row.stride, block + depth
        found[stride] = Level(stride, channels, block)  # replaces the map of an earlier row with the same stride
    return tuple(found.values())
