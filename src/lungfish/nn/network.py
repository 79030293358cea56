"""The whole network: stem, blocks, head, classifier."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lungfish.architecture import Arch, Flavour, Op, lower
from lungfish.nn.blocks import BlockOps, InvertedResidual
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
        parts = _by_part(lower(arch))
        count = sum(1 for name in parts if name.startswith("blocks."))
        self.stem = ConvNormAct(parts["stem"][""], self.flavour)
        self.blocks = nn.Sequential(*(InvertedResidual(parts[f"blocks.{i}"], self.flavour) for i in range(count)))
        self.head = ConvNormAct(parts["head"][""], self.flavour)
        self.dropout = nn.Dropout(arch.dropout)
        classifier = parts["classifier"][""][""]
        self.classifier = nn.Linear(classifier.in_shape[0], classifier.out_shape[0])

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
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for module in network.modules():
        _initialize(module, generator)
    return network


def _initialize(module: nn.Module, generator: torch.Generator | None) -> None:
    """Fan-out normal kernels, uniform classifier, as in the authors' TensorFlow code."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out), generator=generator)
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        nn.init.zeros_(module.bias)


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
