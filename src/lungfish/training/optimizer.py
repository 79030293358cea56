"""AdamW or SGD, with a learning rate for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lungfish.training.stage_settings import Tuning

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Optimizer:
    """The optimizer of a network, with its state keyed by parameter name.

    Args:
        network: Layers of the network, in order.
        tuning: Settings of the recipe.
    """

    def __init__(self, network: nn.Sequential, tuning: Tuning) -> None:
        self._parameters = dict(network.named_parameters())
        self._optimizer = optimizer_of(network, tuning)

    def zero_grad(self) -> None:
        """Reset the gradients."""
        self._optimizer.zero_grad()

    def step(self, rate: float) -> None:
        """Update the parameters; `rate` is the learning rate of the last layer."""
        for settings in self._optimizer.param_groups:
            settings["lr"] = rate * settings["scale"]
        self._optimizer.step()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of each parameter, such as its momentum."""
        return {
            f"{name}/{key}": value
            for name, parameter in self._parameters.items()
            for key, value in self._optimizer.state[parameter].items()
        }

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Restore a saved state in the memory layout of the parameters; another layout would change the last bits."""
        import torch

        def like(parameter: Tensor, value: Tensor) -> Tensor:
            if not value.ndim:  # a count of steps
                return value.to(parameter.device)
            return torch.empty_like(parameter, requires_grad=False).copy_(value)

        for name, parameter in self._parameters.items():
            prefix = f"{name}/"
            self._optimizer.state[parameter] = {
                key.removeprefix(prefix): like(parameter, value)
                for key, value in saved.items()
                if key.startswith(prefix)
            }


def optimizer_of(network: nn.Sequential, tuning: Tuning) -> torch.optim.Optimizer:
    """Return an optimizer with a learning rate for each layer, and without weight decay for biases and norms."""
    import torch

    layers = [layer for layer in network if any(True for _ in layer.parameters())]
    groups: list[dict[str, Any]] = []
    for height, layer in enumerate(reversed(layers)):
        scale = tuning.layer_decay**height
        matrices = [parameter for parameter in layer.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in layer.parameters() if parameter.ndim <= 1]
        groups += [
            {"params": parameters, "scale": scale, "weight_decay": decay}
            for parameters, decay in ((matrices, tuning.weight_decay), (vectors, 0.0))
            if parameters
        ]
    if tuning.optimizer == "sgd":
        return torch.optim.SGD(groups, tuning.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, tuning.learning_rate, fused=True)
