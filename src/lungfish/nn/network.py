"""The whole network: stem, blocks, head, classifier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lungfish.architecture import Arch, Flavour, Op, lower
from lungfish.nn.blocks import BLOCKS, BlockOps
from lungfish.nn.initialization import initialize
from lungfish.nn.layers import ConvNormAct


class Network(nn.Module):
    """A classifier built from a lowered architecture.

    `forward` takes normalized float `[n, channels, height, width]` of any size from the total stride up and returns
    logits `[n, classes]`; `features` returns the pooled vectors `[n, head]` that the classifier reads.

    Args:
        arch: what to build.
        flavour: padding and batch-norm epsilon of the weights that it will hold.
    """

    def __init__(self, arch: Arch, flavour: Flavour | None = None) -> None:
        super().__init__()
        self.arch, self.flavour = arch, flavour or Flavour()
        parts, block = _by_part(lower(arch)), BLOCKS[arch.table.block]
        self.stem = ConvNormAct(parts["stem"][""], self.flavour)
        self.blocks = nn.Sequential(
            *(block(ops, self.flavour) for name, ops in parts.items() if name.startswith("blocks."))
        )
        self.head = ConvNormAct(parts["head"][""], self.flavour) if "head" in parts else nn.Identity()
        self.dropout = nn.Dropout(arch.dropout)
        self.classifier = nn.Linear(arch.head_width, arch.classes)

    def features(self, x_nchw: Tensor) -> Tensor:
        """Pooled feature vectors, float `[n, head]`."""
        x_nchw = self.head(self.blocks(self.stem(x_nchw)))
        return F.adaptive_avg_pool2d(x_nchw, 1).flatten(1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.features(x_nchw)))
        return logits


def build(arch: Arch, flavour: Flavour | None = None, *, seed: int | None = None) -> Network:
    """A network with the authors' random initialization.

    Args:
        arch: what to build.
        flavour: `same` padding and epsilon 1e-3 unless given.
        seed: of the initialization; torch's global generator if None.
    """
    network = Network(arch, flavour)
    initialize(network, arch.table.initialization, None if seed is None else torch.Generator().manual_seed(seed))
    return network


def _by_part(ops: Iterable[Op]) -> Mapping[str, BlockOps]:
    """Operations by the dotted parts of their names: `parts["blocks.3"]["depthwise"]["conv"]`."""
    parts: dict[str, dict[str, dict[str, Op]]] = defaultdict(lambda: defaultdict(dict))
    for op in ops:
        block, part, layer = _split_name(op.name)
        parts[block][part][layer] = op
    return parts


def _split_name(name: str) -> tuple[str, str, str]:
    steps = name.split(".")
    if steps[0] == "blocks":
        return f"blocks.{steps[1]}", steps[2], steps[3] if len(steps) == 4 else ""
    return steps[0], "", steps[1] if len(steps) == 2 else ""
