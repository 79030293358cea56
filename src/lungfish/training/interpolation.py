"""Networks between two networks: weights on the straight line from one to the other.

Fine-tuned weights are better at photos like those they saw, the weights they started from at others; a point between
the two often beats both, and costs no training. Source: WiSE-FT, arXiv:2109.01903.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.training.judging import losses

if TYPE_CHECKING:
    from torch import Tensor, nn

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the way


def interpolated(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return the tensors a share of the way from `start` to `end`; counts are those of `end`."""
    return {
        name: start[name].lerp(tensor, share) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in end.items()
    }


def move_to_best(
    network: nn.Module,
    start: Mapping[str, Tensor],
    logits: Callable[[], NDArray[np.float32]],
    labels: NDArray[np.int64],
) -> tuple[float, NDArray[np.float32]]:
    """Move a network to the best point between `start` and where it is: that with the lowest loss.

    Args:
        network: On the CPU, changed in place.
        start: Its tensors at the other end.
        logits: Returns the network's logits on validation photos, float32 `[n, classes]`, and leaves it on the CPU.
        labels: int64 `[n]`, class indices of these photos.

    Returns:
        The share of the way from `start`, and the logits there.
    """
    end = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    reached: dict[float, NDArray[np.float32]] = {}
    for share in SHARES:
        network.load_state_dict(interpolated(start, end, share))
        reached[share] = logits()
    best = min(reversed(SHARES), key=lambda share: float(losses(reached[share], labels).mean()))
    network.load_state_dict(interpolated(start, end, best))
    return best, reached[best]
