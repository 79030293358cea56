"""Interpolate between the weights of two networks, and choose the best point.

Fine-tuned weights are better on photos like their training photos, the starting weights on others. A point between the
two often beats both, at no cost in training. Source: WiSE-FT, arXiv:2109.01903.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.training.paired_gain import gain, mistakes

if TYPE_CHECKING:
    from torch import Tensor, nn

# Points to try: 0 is the start, 1 the end. On test photos from another place, shares below 0.5 were never the best,
# however low their validation loss: decision 0020.
SHARES = (0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class Validated:
    """Validation photos, and the predictions of the network for them.

    Args:
        logits: Function that returns the network's logits, float32 `[n, classes]`, and leaves the network on the CPU.
        labels: int64 `[n]`, class indices.
        units: int64 `[n]`; photos of one scene share a number.
    """

    logits: Callable[[], NDArray[np.float32]]
    labels: NDArray[np.int64]
    units: NDArray[np.int64]


def interpolated(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Interpolate linearly from `start` (share 0) to `end` (share 1); integer tensors are those of `end`."""
    return {
        name: start[name].lerp(tensor, share) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in end.items()
    }


def averaged(ends: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of the tensors of several runs from one start; integer tensors are those of the last run.

    Source: model soups, arXiv:2203.05482.
    """
    import torch

    return {
        name: torch.stack([end[name] for end in ends]).mean(dim=0) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in ends[-1].items()
    }


def move_to_best(
    network: nn.Module,
    start: Mapping[str, Tensor],
    ends: Sequence[Mapping[str, Tensor]],
    photos: Validated,
) -> tuple[int, float, NDArray[np.float32]]:
    """Move a network to the best point between `start` and one of the ends.

    The best point is the longest-trained of those whose error rate is within one standard error of the lowest. The loss
    is not used: the more confident a network is, the more a few photos with doubtful labels add to its loss. The loss
    therefore favors early epochs and small shares, which give lower accuracy on test photos (decision 0020).

    Args:
        network: Network on the CPU, changed in place.
        start: Tensors of the network before training.
        ends: Tensors after training, the longest-trained last.
        photos: Validation photos that decide.

    Returns:
        The index of the end, the share of the way to it, and the logits at that point.

    Source: the one-standard-error rule of Breiman et al., Classification and Regression Trees, 1984.
    """
    points = [(i, share) for i in range(len(ends)) for share in SHARES]
    predictions = []
    for i, share in points:
        network.load_state_dict(interpolated(start, ends[i], share))
        predictions.append(photos.logits())
    wrong = [mistakes(logits, photos.labels) for logits in predictions]
    fewest = min(wrong, key=lambda each: float(each.mean()))
    best = max(k for k, each in enumerate(wrong) if _is_as_good(each, fewest, photos.units))
    i, share = points[best]
    network.load_state_dict(interpolated(start, ends[i], share))
    return i, share, predictions[best]


def _is_as_good(wrong: NDArray[np.float64], fewest: NDArray[np.float64], units: NDArray[np.int64]) -> bool:
    advantage = gain(wrong, fewest, units)
    return advantage.mean <= advantage.error
