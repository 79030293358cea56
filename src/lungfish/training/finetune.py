"""Train the last blocks of a network on cached activations: the frozen blocks before them run only once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.costs import Layer, cost
from lungfish.data.loading.activations import bytes_needed
from lungfish.training.group import Group
from lungfish.training.loop import FitResult, Run, fit, with_tensors
from lungfish.training.stage_settings import Finetune
from lungfish.training.validation import Validation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lungfish.nn import Network

Positions = NDArray[np.int64]
VIEW_STREAM = 1  # random numbers independent of those that order the photos


class ViewsOfPhotos(Protocol):
    """Activations of photos, plain (view 0) and augmented."""

    @property
    def views(self) -> int:
        """Number of views of each photo, including the plain one."""
        ...

    def rows(self, photos: Positions, views: Positions, /) -> NDArray[np.float16]:
        """Return activations, float16 `[n, channels, height, width]`."""
        ...


@dataclass(frozen=True, eq=False)
class LabelledViews:
    """Activations of a split, and its class indices `[n]`."""

    views: ViewsOfPhotos
    labels: NDArray[np.int64]


def choose_boundary(arch: Arch, tail_share: float, photos: int, views: int, budget_bytes: int) -> int:
    """Return the first block to train: the earliest that stays within the share of compute and the disk budget.

    Args:
        arch: Network.
        tail_share: Largest share of the network's multiply-adds in the trained layers.
        photos: Number of photos.
        views: Views of each photo, including the plain one.
        budget_bytes: Disk space for the activations, in float16.

    Returns:
        Index of the block; the number of blocks if only the head can be trained.
    """
    blocks = sum(arch.stage_depths)
    for block in range(1, blocks):
        needed_bytes = activation_bytes(arch, block, photos, views)
        if 1 - share_before(arch, block) <= tail_share and needed_bytes <= budget_bytes:
            return block
    return blocks


def activation_bytes(arch: Arch, block: int, photos: int, views: int) -> int:
    """Return the disk space that the input of a block takes in float16.

    Args:
        arch: Network.
        block: Index of the block.
        photos: Number of photos.
        views: Views of each photo, including the plain one.
    """
    channels, height, width = boundary_shape(arch, block)
    return bytes_needed((channels, height, width), photos, views - 1)


def boundary_shape(arch: Arch, block: int) -> tuple[int, ...]:
    """Return channels, height and width of the input of a block."""
    return _before(arch, block)[-1].out_shape


def share_before(arch: Arch, block: int) -> float:
    """Return the share of the network's multiply-adds in the layers before a block."""
    return sum(layer.macs for layer in _before(arch, block)) / cost(arch).macs


def _before(arch: Arch, block: int) -> list[Layer]:
    names = ("stem.", *(f"blocks.{i}." for i in range(block)))
    return [layer for layer in cost(arch).layers if layer.name.startswith(names)]


def finetune(
    network: Network, block: int, train: LabelledViews, val: LabelledViews, tuning: Finetune, run: Run
) -> FitResult:
    """Train the blocks from `block` on, the head and the classifier; `network` ends with the weights of the best epoch.

    Args:
        network: Network in eval mode, with a classifier for the labels.
        block: Block from `choose_boundary`.
        train: Training views; each epoch draws one view of each photo, all with equal probability.
        val: Validation views; only the plain ones are used.
        tuning: Settings of the recipe.
        run: Context of the run.

    Returns:
        The result, in which `last` has the tensor names of `network`.

    Raises:
        DivergedError: The loss is not finite.
        UsageError: The run to resume belongs to another job.
        StorageError: A checkpoint cannot be written.
    """
    tail = tail_of(network, block).to(run.group.device)
    fitted = fit(tail, _Batches(train, run.seed), validation(val, run.group), tuning, run)
    last = with_tensors(network, tail, fitted.last)
    tail.load_state_dict(fitted.tensors)
    network.cpu().eval()
    return replace(fitted, last=last)


def tail_of(network: Network, block: int) -> nn.Sequential:
    """Return the network after its frozen part; modules are shared."""
    from lungfish.training.layers import Activations, layers

    return layers(network, Activations(), network.blocks[block:])


def validation(split: LabelledViews, group: Group) -> Validation:
    """Return a `Validation` that scores a tail on the plain views."""

    def inputs(chunks: Sequence[Positions]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield _rows(split, chunk, np.zeros_like(chunk))

    return Validation(inputs, split.labels, group)


class _Batches:
    """Training batches: one view of each photo per epoch, chosen by seed, epoch and photo only."""

    def __init__(self, split: LabelledViews, seed: int) -> None:
        self.split, self.seed = split, seed

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.split.labels

    def __call__(self, epoch: int, chunks: Sequence[Positions]) -> Iterator[tuple[Tensor, Tensor]]:
        import torch

        rng = np.random.default_rng((self.seed, epoch, VIEW_STREAM))
        views = rng.integers(0, self.split.views.views, len(self.labels))
        for chunk in chunks:
            yield _rows(self.split, chunk, views[chunk]), torch.from_numpy(self.labels[chunk])


def _rows(split: LabelledViews, positions: Positions, views: Positions) -> Tensor:
    import torch

    return torch.from_numpy(split.views.rows(positions, views))
