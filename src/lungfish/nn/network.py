"""Build a network of stem, blocks, head and classifier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lungfish.architecture import Arch, Flavour, Op, lower
from lungfish.core.errors import ArchitectureError
from lungfish.costs import op_params
from lungfish.nn.blocks import BLOCKS, OpTree
from lungfish.nn.initialization import initialize
from lungfish.nn.layers import ConvNormAct, Dropout

MAX_PARAMS = 1_000_000_000  # 4 GB in float32


class Network(nn.Module):
    """A classifier built from a lowered architecture.

    `forward` takes normalized float `[n, channels, height, width]`, with sides of at least the total stride, and
    returns logits `[n, classes]`; `features` returns the pooled input of the classifier, `[n, head]`.

    Args:
        arch: Architecture to build.
        flavour: Padding and batch-norm epsilon of the weights to be loaded.

    Raises:
        ArchitectureError: The network has more than `MAX_PARAMS` parameters.
    """

    def __init__(self, arch: Arch, flavour: Flavour | None = None) -> None:
        super().__init__()
        self.arch, self.flavour = arch, flavour or Flavour()
        ops = lower(arch)
        if (params := sum(map(op_params, ops))) > MAX_PARAMS:
            raise ArchitectureError(f"{arch.name} has {params:,} parameters; at most {MAX_PARAMS:,} are allowed")
        tree, block = _tree(ops), BLOCKS[arch.table.block]
        self.stem = ConvNormAct(tree["stem"], self.flavour)
        self.blocks = nn.Sequential(*(block(parts, self.flavour) for parts in tree["blocks"].values()))
        self.head = ConvNormAct(tree["head"], self.flavour) if "head" in tree else nn.Identity()
        self.dropout = Dropout(arch.dropout)
        self.classifier = nn.Linear(arch.head_width, arch.classes)

    def features(self, x_nchw: Tensor) -> Tensor:
        """Return the pooled feature vectors, float `[n, head]`."""
        x_nchw = self.head(self.blocks(self.stem(x_nchw)))
        return F.adaptive_avg_pool2d(x_nchw, 1).flatten(1)

    def forward(self, x_nchw: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.features(x_nchw)))
        return logits


def build(arch: Arch, flavour: Flavour | None = None, *, seed: int | None = None) -> Network:
    """Return a network with the authors' random initialization.

    Args:
        arch: Architecture to build.
        flavour: Padding and batch-norm epsilon; by default `same` and 1e-3.
        seed: Seed of the initialization; None uses torch's global generator.

    Raises:
        ArchitectureError: The network has more than `MAX_PARAMS` parameters.
    """
    network = Network(arch, flavour)
    initialize(network, arch.table.initialization, None if seed is None else torch.Generator().manual_seed(seed))
    return network


def _tree(ops: Iterable[Op]) -> OpTree:
    """Return the operations nested by the parts of their names: `tree["blocks"]["3"]["depthwise"]["conv"]`."""
    tree: dict[str, Any] = {}
    for op in ops:
        *path, last = op.name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = op
    return tree
