"""The last blocks of a network, trained from activations that were computed once. Cheap: the rest never runs again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.costs import cost
from lungfish.training.loop import Fitted, Run, fit
from lungfish.training.probe import cross_entropy, fit_temperature
from lungfish.training.state import Score
from lungfish.training.tuning import Tuning

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lungfish.nn import Network

Positions = NDArray[np.int64]
VALIDATION_BATCH = 64
VIEW_STREAM = 1  # apart from the numbers that order the photos


class ViewsOfPhotos(Protocol):
    """Activations of photos, plain (view 0) and augmented."""

    @property
    def views(self) -> int:
        """How many of each photo, the plain one included."""
        ...

    def rows(self, photos: Positions, views: Positions, /) -> NDArray[np.float16]:
        """float16 `[n, channels, height, width]`."""
        ...


@dataclass(frozen=True, eq=False)
class LabelledViews:
    """Activations of a split, and its class indices `[n]`."""

    views: ViewsOfPhotos
    labels: NDArray[np.int64]


def choose_boundary(arch: Arch, tail_share: float, photos: int, views: int, budget_bytes: int) -> int:
    """The first block to train: the earliest whose tail costs no more than asked, and whose activations fit.

    Args:
        arch: the network.
        tail_share: of the multiply-adds.
        photos: how many.
        views: of each, the plain one included.
        budget_bytes: on disk, float16.

    Returns:
        A block's index; the number of blocks if only the head can be trained.
    """
    layers = cost(arch).layers
    total = sum(layer.macs for layer in layers)
    blocks = sum(arch.stage_depths)
    for block in range(1, blocks):
        names = tuple(f"blocks.{i}." for i in range(block))
        before = [layer for layer in layers if layer.name.startswith(("stem.", *names))]
        held = photos * views * 2 * math.prod(before[-1].out_shape)
        if total - sum(layer.macs for layer in before) <= tail_share * total and held <= budget_bytes:
            return block
    return blocks


def finetune(
    network: Network, block: int, train: LabelledViews, val: LabelledViews, tuning: Tuning, run: Run
) -> Fitted:
    """Train the blocks from `block` on, the head and the classifier; `network` then holds the best epoch.

    Args:
        network: with the classifier for the labels, in eval mode.
        block: from `choose_boundary`.
        train: every view is drawn as often as the others, one for each photo and epoch.
        val: plain views are validated on.
        tuning: of the recipe.
        run: what surrounds it.

    Raises:
        DivergedError: the loss is not finite.
        UsageError: resumed as another job than it was.
        StorageError: a checkpoint cannot be written.
    """
    import torch

    tail = _tail(network, block).to(memory_format=torch.channels_last)
    fitted = fit(tail, _Views(train, run.seed), _Validation(val), tuning, run)
    tail.load_state_dict(dict(fitted.parameters), strict=False)  # batch norm's statistics are as they were
    network.eval()
    return fitted


def plain_logits(network: Network, block: int, split: LabelledViews) -> NDArray[np.float32]:
    """float32 `[n, classes]` of the plain views."""
    logits: NDArray[np.float32] = _plain_logits(_tail(network, block), split).numpy()
    return logits


def _tail(network: Network, block: int) -> nn.Module:
    """The network after its frozen part: shares its modules."""
    from torch import nn

    return nn.Sequential(
        *network.blocks[block:],
        network.head,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        network.dropout,
        network.classifier,
    )


class _Views:
    """Training batches: for each photo and epoch one view, chosen by seed, epoch and photo alone."""

    def __init__(self, split: LabelledViews, seed: int) -> None:
        self.split, self.seed = split, seed

    def __len__(self) -> int:
        return len(self.split.labels)

    def __call__(self, epoch: int, positions: Positions) -> tuple[Tensor, Tensor]:
        import torch

        rng = np.random.default_rng((self.seed, epoch, VIEW_STREAM))
        views = rng.integers(0, self.split.views.views, len(self))[positions]
        return _inputs(self.split, positions, views), torch.from_numpy(self.split.labels[positions])


class _Validation:
    """Loss and top-1 of a tail on the plain views.

    The loss is that at the best temperature: label smoothing makes a network modest, which is no fault, for the bundle
    gets a temperature anyway.
    """

    def __init__(self, split: LabelledViews) -> None:
        self.split = split

    def __call__(self, tail: nn.Module) -> Score:
        logits, labels = _plain_logits(tail, self.split).numpy(), self.split.labels
        calibrated: NDArray[np.float32] = (logits / fit_temperature(logits, labels)).astype(np.float32)
        return Score(cross_entropy(calibrated, labels), float((logits.argmax(axis=1) == labels).mean()))


def _plain_logits(tail: nn.Module, split: LabelledViews) -> Tensor:
    import torch

    tail.eval()
    positions = np.arange(len(split.labels))
    with torch.inference_mode():
        return torch.cat(
            [
                tail(_inputs(split, chunk, np.zeros_like(chunk)))
                for chunk in np.array_split(positions, math.ceil(len(positions) / VALIDATION_BATCH))
            ]
        )


def _inputs(split: LabelledViews, positions: Positions, views: Positions) -> Tensor:
    import torch

    rows = torch.from_numpy(split.views.rows(positions, views)).float()
    return rows.contiguous(memory_format=torch.channels_last)
