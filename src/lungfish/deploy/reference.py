"""Compute what an exported file must agree with: the network in torch or, where that is not installed, in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.deploy.numpy_network import logits
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch
from lungfish.training.torch_install import has_torch
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.network_weights import NetworkWeights

if TYPE_CHECKING:
    from torch import nn


def reference_logits(
    network: NetworkWeights, entry: WeightsEntry, pixels: NDArray[np.uint8], module: nn.Module | None = None
) -> NDArray[np.float32]:
    """Return the logits of a network, float32 `[n, classes]`, without any of the exporters' code.

    Args:
        network: Architecture and weights.
        entry: Weights that the network started from; defines the normalization of the pixels.
        pixels: uint8 `[n, height, width, 3]`.
        module: Torch network to run instead of one that is built from `network`.
    """
    if not has_torch():
        return _in_numpy(network, entry, pixels)
    import torch

    from lungfish.training.trunk import normalized
    from lungfish.weights.load import to_network

    with torch.inference_mode():
        module = to_network(network) if module is None else module
        computed: NDArray[np.float32] = module(normalized(torch.from_numpy(pixels), entry)).numpy()
    return computed


def _in_numpy(network: NetworkWeights, entry: WeightsEntry, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute one photo in each thread: the results of all its layers fit a cache better than those of a batch."""
    from threadpoolctl import threadpool_limits

    mean, std = np.array(entry.mean, np.float32), np.array(entry.std, np.float32)

    def compute(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        return logits(network, ((photo[None] - mean) / std).transpose(0, 3, 1, 2))

    cores = physical_cores()
    with threadpool_limits(1):
        return np.concatenate(list(prefetch(compute, pixels, cores, 2 * cores)))
