"""Initialize networks randomly, as the authors' TensorFlow code does."""

from __future__ import annotations

import math

import torch
from torch import nn

from lungfish.architecture.table import Initialization


def initialize(network: nn.Module, initialization: Initialization, generator: torch.Generator | None) -> None:
    """Initialize every kernel randomly and every bias to 0; batch norms stay at scale 1 and shift 0.

    Args:
        network: Network to change in place.
        initialization: `fan_out` as in EfficientNet, or `truncated` as in MobileNet.
        generator: Random number generator; torch's global one if None.
    """
    draw = {"fan_out": _fan_out, "truncated": _truncated}[initialization]
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            draw(module, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _fan_out(module: nn.Conv2d | nn.Linear, generator: torch.Generator | None) -> None:
    """Draw kernels that preserve the variance of gradients, and classifier weights uniformly in +-1 / sqrt(classes)."""
    if isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound, generator=generator)
    else:
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out), generator=generator)


def _truncated(module: nn.Conv2d | nn.Linear, generator: torch.Generator | None) -> None:
    """Draw from a normal distribution with standard deviation 0.09, truncated at two standard deviations."""
    nn.init.trunc_normal_(module.weight, 0.0, 0.09, -0.18, 0.18, generator=generator)
