"""Build a network of stem, blocks, head and classifier."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lungfish.architecture import Arch, Flavour, Op, lower
from lungfish.core.errors import ArchitectureError
from lungfish.costs import op_params
from lungfish.nn.blocks import BLOCKS, OpTree
from lungfish.nn.initialization import initialize
from lungfish.nn.layers import ConvNormAct, Dropout

if TYPE_CHECKING:
    from lungfish.runtime.preprocessing import Preprocessing

MAX_PARAMS = 1_000_000_000  # 4 GB in float32


class Network(nn.Module):
    """A classifier built from a lowered architecture.

    `forward` takes normalized float `[n, channels, height, width]`, with sides of at least the total stride, and
    returns logits `[n, classes]`. `lungfish.transforms(network)` turns a photo into the input that the weights expect;
    with a different normalization, accuracy drops without a warning.

    Args:
        arch: Architecture to build.
        flavour: Padding and batch-norm epsilon of the weights to be loaded.

    Attributes:
        weights: Name of the pretrained weights; None if they are random.
        preprocessing: Preprocessing that the weights expect; None if they are random.
        labels: Class names in the order of the logits; None if the classifier is new or its classes are unknown.

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
        self.weights: str | None = None
        self.preprocessing: Preprocessing | None = None
        self.labels: tuple[str, ...] | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes, and thus of logits."""
        return self.arch.classes

    @property
    def num_features(self) -> int:
        """Length of the pooled feature vectors."""
        return self.arch.head_width

    def forward_features(self, x_nchw: Tensor) -> Tensor:
        """Return the last feature map before pooling, float `[n, num_features, height / stride, width / stride]`."""
        y_nchw: Tensor = self.head(self.blocks(self.stem(x_nchw)))
        return y_nchw

    def forward_head(self, features_nchw: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Pool and classify the result of `forward_features`.

        Args:
            features_nchw: The last feature map.
            pre_logits: Whether to return the pooled vectors, float `[n, num_features]`, instead of logits.
        """
        pooled = F.adaptive_avg_pool2d(features_nchw, 1).flatten(1)
        if pre_logits:
            return pooled
        logits: Tensor = self.classifier(self.dropout(pooled))
        return logits

    def features(self, x_nchw: Tensor) -> Tensor:
        """Return the pooled input of the classifier, float `[n, num_features]`."""
        return self.forward_head(self.forward_features(x_nchw), pre_logits=True)

    def forward(self, x_nchw: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x_nchw))

    def reset_classifier(self, num_classes: int, *, seed: int | None = None) -> None:
        """Replace the classifier with a randomly initialized one. The other layers are unchanged.

        The new classifier has the device and dtype of the old one, and `labels` becomes None. Create the optimizer
        afterwards, since an existing optimizer still refers to the old classifier.

        Args:
            num_classes: Number of classes of the new classifier.
            seed: Seed of the initialization; None uses torch's global generator.

        Raises:
            ArchitectureError: `num_classes` is not a positive whole number.
        """
        old, self.arch = self.classifier.weight, self.arch.with_classes(num_classes)
        self.classifier = nn.Linear(self.arch.head_width, num_classes)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        initialize(self.classifier, self.arch.table.initialization, generator)
        self.classifier.to(old.device, old.dtype)
        self.labels = None


def build(arch: Arch, flavour: Flavour | None = None, *, seed: int | None = None) -> Network:
    """Build a network, randomly initialized as in the authors' code.

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
