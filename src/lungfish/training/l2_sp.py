"""L2-SP: penalize the squared distance from the starting weights. Source: arXiv:1802.01483."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lungfish.training.moving_average import copied

if TYPE_CHECKING:
    from torch import Tensor, nn


class L2SP:
    """A penalty whose gradient is added to that of the loss.

    Args:
        network: Network with the starting weights.
        strength: Weight of the squared distance; 0 for no penalty.
    """

    def __init__(self, network: nn.Module, strength: float) -> None:
        self._parameters, self._strength = dict(network.named_parameters()), strength
        self._start = copied(self._parameters) if strength else {}

    def add_gradients(self) -> None:
        """Add the gradient of the penalty to the gradients of the loss."""
        import torch

        with torch.no_grad():
            for name, start in self._start.items():
                parameter = self._parameters[name]
                assert parameter.grad is not None
                parameter.grad.add_(parameter - start, alpha=2 * self._strength)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the starting weights; empty without a penalty."""
        return self._start

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Restore saved starting weights."""
        for name, start in self._start.items():
            start.copy_(saved[name])
