"""A network as the loop trains it: what it reads, then its layers in order, so that each can have its learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lungfish.nn import Network
    from lungfish.runtime.preprocessing import Preprocessing


class Pixels(nn.Module):
    """uint8 or float `[n, 3, height, width]` to what the weights expect: normalized float32, channels last."""

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
    """float16 `[n, channels, height, width]` from the disk to float32, channels last."""

    def forward(self, x_nchw: Tensor) -> Tensor:
        return x_nchw.float().contiguous(memory_format=torch.channels_last)


def from_pixels(network: Network, preprocess: Preprocessing) -> nn.Sequential:
    """All layers of `network`, which reads pixels."""
    return layers(network, Pixels(preprocess), [network.stem, *network.blocks])


def layers(network: Network, first: nn.Module, blocks: Iterable[nn.Module]) -> nn.Sequential:
    """`first`, then blocks, head and classifier of `network`: shares its modules, in channels-last order.

    Args:
        network: whose head and classifier come last.
        first: turns inputs into what the first block reads.
        blocks: of the network, the stem among them if it is trained.
    """
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
    sequence = nn.Sequential(first, *blocks, network.head, *pooled, network.dropout, network.classifier)
    return sequence.to(memory_format=torch.channels_last)
