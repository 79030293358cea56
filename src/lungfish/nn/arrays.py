"""Exchange a network's tensors with numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


def get_arrays(network: nn.Module) -> dict[str, NDArray[Any]]:
    """Return copies of all tensors of a network on the CPU, by name."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def set_arrays(network: nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Copy arrays into the tensors of a network. Names and shapes must match exactly."""
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
