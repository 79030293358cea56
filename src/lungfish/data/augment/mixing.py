"""Mix the photos of a batch with each other, and their labels in the same proportion.

Source: MixUp, arXiv:1710.09412; CutMix, arXiv:1905.04899; both as in torchvision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lungfish.core.errors import UsageError
from lungfish.core.extras import missing_extra
from lungfish.data.augment.torch_chance import torch_seeded

if TYPE_CHECKING:
    from torch import Tensor

MAX_ALPHA = 100.0


@dataclass(frozen=True)
class Mixing:
    """Strength of the mixing. If both are set, each batch uses one of them, with equal probability.

    Args:
        mixup_alpha: Parameter of MixUp's Beta distribution, usually 0.2; 0 for no MixUp.
        cutmix_alpha: Parameter of CutMix's Beta distribution, usually 1; 0 for no CutMix.

    Raises:
        UsageError: A value is not allowed.
    """

    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0

    def __post_init__(self) -> None:
        for name, alpha in (("mixup_alpha", self.mixup_alpha), ("cutmix_alpha", self.cutmix_alpha)):
            if not 0 <= alpha <= MAX_ALPHA:
                raise UsageError(f"mixing: {name} is {alpha!r}; it must be 0 to {MAX_ALPHA:g}")


def mixed(
    x_nchw: Tensor, labels: Tensor, classes: int, mixing: Mixing, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each photo with a random one rather than its neighbor, which often has the same class.

    Args:
        x_nchw: uint8 or float `[n, 3, height, width]`, on any device; not changed.
        labels: Class indices, int64 `[n]`.
        classes: Number of classes.
        mixing: Strength of the mixing.
        rng: Generator of all random numbers. Torch's random state is used and restored: see `torch_seeded`.

    Returns:
        Inputs, float `[n, 3, height, width]`, and soft labels, float32 `[n, classes]`, in the same order.

    Raises:
        MissingExtraError: torchvision is not installed.
    """
    import torch

    try:
        from torchvision.transforms import v2
    except ModuleNotFoundError as error:
        raise missing_extra(error, "mixing") from error
    x_nchw = x_nchw if x_nchw.is_floating_point() else x_nchw.float()
    ways = [(v2.MixUp, mixing.mixup_alpha), (v2.CutMix, mixing.cutmix_alpha)]
    ways = [(way, alpha) for way, alpha in ways if alpha]
    if not ways or not len(labels):
        return x_nchw, torch.nn.functional.one_hot(labels, classes).float()
    way, alpha = ways[rng.integers(len(ways))]
    order = torch.from_numpy(rng.permutation(len(labels))).to(labels.device)  # torchvision mixes neighbors
    with torch_seeded(int(rng.integers(2**63))):
        inputs, soft_labels = way(alpha=alpha, num_classes=classes)(x_nchw[order], labels[order])
    back = order.argsort()
    return inputs[back], soft_labels[back]
