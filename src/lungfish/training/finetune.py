"""The last blocks of a network, trained from activations that were computed once. Cheap: the rest never runs again."""

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
    blocks = sum(arch.stage_depths)
    for block in range(1, blocks):
        held = activation_bytes(arch, block, photos, views)
        if 1 - share_before(arch, block) <= tail_share and held <= budget_bytes:
            return block
    return blocks


def activation_bytes(arch: Arch, block: int, photos: int, views: int) -> int:
    """What enters a block takes on disk as float16; `views` of each photo, the plain one included."""
    channels, height, width = boundary_shape(arch, block)
    return bytes_needed((channels, height, width), photos, views - 1)


def boundary_shape(arch: Arch, block: int) -> tuple[int, ...]:
    """Channels, height and width of what enters a block."""
    return _before(arch, block)[-1].out_shape


def share_before(arch: Arch, block: int) -> float:
    """What the layers before a block cost, as a share of the network's multiply-adds."""
    return sum(layer.macs for layer in _before(arch, block)) / cost(arch).macs


def _before(arch: Arch, block: int) -> list[Layer]:
    names = ("stem.", *(f"blocks.{i}." for i in range(block)))
    return [layer for layer in cost(arch).layers if layer.name.startswith(names)]


def finetune(
    network: Network, block: int, train: LabelledViews, val: LabelledViews, tuning: Finetune, run: Run
) -> FitResult:
    """Train the blocks from `block` on, the head and the classifier; `network` then holds the best epoch.

    `last` of what is returned has the network's own names.

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
    tail = tail_of(network, block).to(run.group.device)
    fitted = fit(tail, _Batches(train, run.seed), validation(val, run.group), tuning, run)
    last = with_tensors(network, tail, fitted.last)
    tail.load_state_dict(fitted.tensors)
    network.cpu().eval()
    return replace(fitted, last=last)


def tail_of(network: Network, block: int) -> nn.Sequential:
    """The network after its frozen part: shares its modules."""
    from lungfish.training.layers import Activations, layers

    return layers(network, Activations(), network.blocks[block:])


def validation(split: LabelledViews, group: Group) -> Validation:
    """Scores a tail on the plain views."""

    def inputs(chunks: Sequence[Positions]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield _rows(split, chunk, np.zeros_like(chunk))

    return Validation(inputs, split.labels, group)


class _Batches:
    """Training batches: for each photo and epoch one view, chosen by seed, epoch and photo alone."""

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
