"""Arrange a network for training: an input layer, then its layers in order, so that each can have a learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lungfish.nn import Network
    from lungfish.runtime.preprocessing import Preprocessing


class Pixels(nn.Module):
    """Normalizes pixels, uint8 or float `[n, 3, height, width]`, to float32 in channels-last order."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocess: Preprocessing) -> None:
        super().__init__()
        for name in ("mean", "std"):
            values = torch.tensor(getattr(preprocess, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return ((pixels.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


class Activations(nn.Module):
    """Converts cached activations, float16 `[n, channels, height, width]`, to float32 in channels-last order."""

    def forward(self, x_nchw: Tensor) -> Tensor:
        return x_nchw.float().contiguous(memory_format=torch.channels_last)


def from_pixels(network: Network, preprocess: Preprocessing) -> nn.Sequential:
    """Return all layers of `network`, with pixels as input."""
    return layers(network, Pixels(preprocess), [network.stem, *network.blocks])


def layers(network: Network, first: nn.Module, blocks: Iterable[nn.Module]) -> nn.Sequential:
    """Return `first`, then blocks, head and classifier of `network`, in channels-last format; modules are shared.

    Args:
        network: Network whose head and classifier come last.
        first: Layer that converts inputs to what the first block expects.
        blocks: Blocks of the network, including the stem if it is trained.
    """
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    sequence = nn.Sequential(first, *blocks, network.head, *pooled, network.dropout, network.classifier)
    return sequence.to(memory_format=torch.channels_last)
