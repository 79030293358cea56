"""Score a network in training on validation photos, each process with its part of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.stage_result import Score
from lungfish.training.group import Group
from lungfish.training.paired_gain import losses

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 64
Inputs = Callable[[Sequence[NDArray[np.int64]]], Iterator["Tensor"]]


class Validation:
    """Scores a network.

    The loss is computed at the best temperature. Label smoothing makes a network underconfident; this does no harm,
    since a temperature is fitted for the bundle anyway.

    Args:
        inputs: Function that yields the inputs of each chunk of positions, preprocessed as for inference.
        labels: int64 `[n]`, class indices.
        group: Processes that share the work; all get the same score, and each photo counts once.
    """

    def __init__(self, inputs: Inputs, labels: NDArray[np.int64], group: Group) -> None:
        self._inputs, self.labels, self._group = inputs, labels, group

    def logits(self, network: nn.Module) -> NDArray[np.float32]:
        """Return the logits, float32 `[n, classes]`, and leave the network in eval mode."""
        import torch

        network.eval()
        mine = self._group.share(np.arange(len(self.labels)))
        chunks = np.array_split(mine, math.ceil(max(len(mine), 1) / BATCH))
        with torch.inference_mode():
            parts = [network(inputs.to(self._group.device)).float().cpu() for inputs in self._inputs(chunks)]
        return self._group.gather(torch.cat(parts).numpy())

    def __call__(self, network: nn.Module) -> Score:
        return score(self.logits(network), self.labels)


def score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Score:
    """Return the mean loss at the best temperature, and top-1."""
    return Score(float(losses(logits, labels).mean()), float((logits.argmax(axis=1) == labels).mean()))
