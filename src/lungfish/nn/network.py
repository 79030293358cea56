"""The whole network: stem, blocks, head, classifier."""

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

MAX_PARAMS = 1_000_000_000  # 4 GB of floats


class Network(nn.Module):
    """A classifier built from a lowered architecture.

    `forward` takes normalized float `[n, channels, height, width]` of any size from the total stride up and returns
    logits `[n, classes]`. `lungfish.transforms(network)` makes such input from a photo, as the weights expect it;
    normalized by other numbers, the same network makes more mistakes, and nothing says so.

    Args:
        arch: what to build.
        flavour: padding and batch-norm epsilon of the weights that it will hold.

    Attributes:
        weights: Name of the pretrained weights that it was built with; None if random.
        preprocessing: What its weights expect to happen to a photo; None if random.
        labels: Class names in the order of the logits; None if the classifier is new, or nobody says.

    Raises:
        ArchitectureError: more than `MAX_PARAMS` parameters.
    """

    def __init__(self, arch: Arch, flavour: Flavour | None = None) -> None:
        super().__init__()
        self.arch, self.flavour = arch, flavour or Flavour()
        ops = lower(arch)
        if (params := sum(map(op_params, ops))) > MAX_PARAMS:
            raise ArchitectureError(f"{arch.name} has {params:,} parameters; at most {MAX_PARAMS:,} are built")
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
        """How many logits come out."""
        return self.arch.classes

    @property
    def num_features(self) -> int:
        """Length of a pooled feature vector."""
        return self.arch.head_width

    def forward_features(self, x_nchw: Tensor) -> Tensor:
        """Return the last feature map before pooling, float `[n, num_features, height / stride, width / stride]`."""
        y_nchw: Tensor = self.head(self.blocks(self.stem(x_nchw)))
        return y_nchw

    def forward_head(self, features_nchw: Tensor, *, pre_logits: bool = False) -> Tensor:
        """Pool what `forward_features` returns, and classify it.

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
        """Return the pooled feature vectors that the classifier reads, float `[n, num_features]`."""
        return self.forward_head(self.forward_features(x_nchw), pre_logits=True)

    def forward(self, x_nchw: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x_nchw))

    def reset_classifier(self, num_classes: int, *, seed: int | None = None) -> None:
        """Replace the classifier by a new one, at the authors' random initialization. The rest stays as it is.

        The new classifier has the device and type of the old one; `labels` becomes None. Make the optimizer afterwards:
        one made before holds the parameters of the old classifier.

        Args:
            num_classes: How many logits come out from now on.
            seed: Seed for the initialization; torch's global generator if None.

        Raises:
            ArchitectureError: `num_classes` is not a positive whole number.
        """
        if num_classes == 0:
            raise ArchitectureError(
                "num_classes is 0; a network has at least one class",
                "For pooled features call network.features(x), or forward_head(x, pre_logits=True).",
            )
        old, self.arch = self.classifier.weight, self.arch.with_classes(num_classes)
        self.classifier = nn.Linear(self.arch.head_width, num_classes)
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        initialize(self.classifier, self.arch.table.initialization, generator)
        self.classifier.to(old.device, old.dtype)
        self.labels = None


def build(arch: Arch, flavour: Flavour | None = None, *, seed: int | None = None) -> Network:
    """A network with the authors' random initialization.

    Args:
        arch: what to build.
        flavour: `same` padding and epsilon 1e-3 unless given.
        seed: of the initialization; torch's global generator if None.

    Raises:
        ArchitectureError: more than `MAX_PARAMS` parameters.
    """
    network = Network(arch, flavour)
    initialize(network, arch.table.initialization, None if seed is None else torch.Generator().manual_seed(seed))
    return network


def _tree(ops: Iterable[Op]) -> OpTree:
    """Operations by the parts of their dotted names: `tree["blocks"]["3"]["depthwise"]["conv"]`."""
    tree: dict[str, Any] = {}
    for op in ops:
        *path, last = op.name.split(".")
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[last] = op
    return tree
