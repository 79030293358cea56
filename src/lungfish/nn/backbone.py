"""A network without its classifier: feature maps at each stride, for detectors and segmenters."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from lungfish.architecture import Arch
from lungfish.nn.network import Network


@dataclass(frozen=True)
class Level:
    """One feature map.

    Args:
        stride: input pixels for each of its pixels, along one side.
        channels: of the map.
        block: index of the block that makes it; -1 is the stem.
    """

    stride: int
    channels: int
    block: int


class Backbone(nn.Module):
    """The features only, as `lungfish.build(..., features_only=True)` returns them: the last map of each stride.

    `forward` takes what the network takes and returns a tuple, finest first, of float `[n, level.channels,
    height / level.stride, width / level.stride]`, sides rounded up. Stem and blocks are the network's own, under the
    same names.

    Args:
        network: whose stem and blocks it shares.

    Attributes:
        arch: That of the network.
        weights: Name of the pretrained weights; None if random.
        preprocessing: What its weights expect to happen to a photo; None if random.
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
    """The feature maps of an architecture, finest first: strides 2, 4, 8, 16 and 32 for every named one."""
    found = {2: Level(2, arch.stem_width, -1)}
    stride, block = 2, -1
    for row, channels, depth in zip(arch.table.rows, arch.stage_widths, arch.stage_depths, strict=True):
        stride, block = stride * row.stride, block + depth
        found[stride] = Level(stride, channels, block)  # a later row of the same stride takes its place
    return tuple(found.values())
