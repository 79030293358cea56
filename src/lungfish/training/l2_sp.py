"""L2-SP: a penalty on the squared distance to where training started. Source: arXiv:1802.01483."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lungfish.training.moving_average import copied

if TYPE_CHECKING:
    from torch import Tensor, nn


class L2SP:
    """Adds the gradient of the penalty to those of the loss.

    Args:
        network: Holds the starting point.
        strength: Weight of the squared distance; 0 for no penalty.
    """

    def __init__(self, network: nn.Module, strength: float) -> None:
        self._parameters, self._strength = dict(network.named_parameters()), strength
        self._start = copied(self._parameters) if strength else {}

    def add_gradients(self) -> None:
        """Add the gradient of the penalty, after those of the loss are there."""
        import torch

        with torch.no_grad():
            for name, start in self._start.items():
                parameter = self._parameters[name]
                assert parameter.grad is not None
                parameter.grad.add_(parameter - start, alpha=2 * self._strength)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the starting point; empty without a penalty."""
        return self._start

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Take the starting point of the run that continues."""
        for name, start in self._start.items():
            start.copy_(saved[name])
