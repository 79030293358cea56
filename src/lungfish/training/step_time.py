"""Measure the speed of training steps on this machine, to estimate the time of a stage before it begins."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lungfish.training.memory import kept_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

ROUNDS = 2


def seconds_per_photo(network: nn.Module, inputs: Tensor, *, learns_statistics: bool) -> float:
    """Return the seconds per photo of a forward and backward pass. The network ends unchanged, in eval mode.

    Args:
        network: Layers from inputs to logits, on the device of `inputs`.
        inputs: Batch of the right shape; its values do not matter.
        learns_statistics: Whether training will update the statistics of batch norm, which takes longer.
    """
    before = {name: tensor.clone() for name, tensor in network.named_buffers()}
    network.train(learns_statistics)
    began = 0.0
    with kept_memory(inputs.device.type):
        for number in range(1 + ROUNDS):
            if number == 1:  # the first round warms up
                _wait_for(inputs.device)
                began = time.perf_counter()
            network(inputs).float().logsumexp(dim=1).sum().backward()
        _wait_for(inputs.device)
        seconds = (time.perf_counter() - began) / (ROUNDS * len(inputs))  # before memory is returned
    network.zero_grad()
    for name, tensor in network.named_buffers():
        tensor.copy_(before[name])
    network.eval()
    return seconds


def _wait_for(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
