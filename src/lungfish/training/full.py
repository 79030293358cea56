"""The whole network, trained from photos that are augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.costs import cost
from lungfish.training.loop import FitResult, Run, fit, with_tensors
from lungfish.training.stage_settings import Full
from lungfish.training.validation import Validation

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network
    from lungfish.runtime.preprocessing import Preprocessing

Positions = NDArray[np.int64]
PHASES = 3  # of growing resolution: a compiled network is compiled anew for each
SIDE_STEP_PX = 32  # the stride of the last feature map
MIXING_STREAM = 3
# Multiply-adds of a run on a GPU from which on compiling, about two minutes, is won back: some ten minutes on a large
# one. A CPU takes longer over compiled steps than over eager ones: docs/decisions/0015.
COMPILED_FROM_MACS = 1e15


class FreshPhotos(Protocol):
    """Training photos, augmented by seed, epoch and photo alone."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every photo."""
        ...

    def epoch(self, epoch: int, chunks: Sequence[Positions], side_px: int, /) -> Iterator[Tensor]:
        """For each chunk of positions in turn: uint8 `[n, 3, side_px, side_px]`."""
        ...


def full(
    network: Network, preprocess: Preprocessing, train: FreshPhotos, val: Validation, tuning: Full, run: Run
) -> FitResult:
    """Train every layer; `network` then holds the best epoch.

    `last` of what is returned has the network's own names.

    Args:
        network: with the classifier for the labels.
        preprocess: what pixels go through.
        train: fresh views.
        val: plain views are validated on.
        tuning: of the recipe.
        run: what surrounds it; precision and compiling are set here.

    Raises:
        DivergedError: the loss is not finite.
        UsageError: resumed as another job than it was.
        StorageError: a checkpoint cannot be written.
    """
    from lungfish.training.layers import from_pixels

    device = run.group.device
    sequence = from_pixels(network, preprocess).to(device)
    run = replace(
        run,
        bfloat16=_is_bfloat16(tuning, device),
        compiled=_is_compiled(tuning, network.arch, train, run),
        areas=[side_px**2 for side_px in sides_px(tuning, network.arch.resolution_px)],
    )
    batches = _Batches(train, tuning, network.arch, run)
    fitted = fit(sequence, batches, val, tuning, run)
    last = with_tensors(network, sequence, fitted.last)
    sequence.load_state_dict(fitted.tensors)
    network.cpu().eval()
    return replace(fitted, last=last)


def sides_px(tuning: Full, resolution_px: int) -> list[int]:
    """Resolution of each epoch: grows in steps to the network's, which the last third has, or the last epoch."""
    sides = []
    for left in reversed(range(tuning.epochs)):
        missing = PHASES * left // tuning.epochs  # phases until the last one
        share = 1 - (1 - tuning.initial_resolution_scale) * missing / (PHASES - 1)
        rounded = round(share * resolution_px / SIDE_STEP_PX) * SIDE_STEP_PX
        sides.append(resolution_px if share == 1 else min(max(rounded, SIDE_STEP_PX), resolution_px))
    return sides


class _Batches:
    """Fresh views at the resolution of the epoch, with labels, mixed if the recipe mixes."""

    def __init__(self, photos: FreshPhotos, tuning: Full, arch: Arch, run: Run) -> None:
        self._photos, self._classes = photos, arch.classes
        self._seed, self._device = run.seed, run.group.device
        self._sides = sides_px(tuning, arch.resolution_px)
        self._mixup, self._cutmix = tuning.mixup, tuning.cutmix

    @property
    def labels(self) -> NDArray[np.int64]:
        return self._photos.labels

    def __call__(self, epoch: int, chunks: Sequence[Positions]) -> Iterator[tuple[Tensor, Tensor]]:
        import torch

        views = self._photos.epoch(epoch, chunks, self._sides[epoch])
        for chunk, inputs in zip(chunks, views, strict=True):
            labels = torch.from_numpy(self.labels[chunk])
            yield self._mixed(epoch, chunk, inputs, labels) if self._mixup or self._cutmix else (inputs, labels)

    def _mixed(self, epoch: int, chunk: Positions, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        from lungfish.data.augment.mixing import Mixing, mixed

        rng = np.random.default_rng((self._seed, epoch, MIXING_STREAM, *chunk[:1].tolist()))
        mixing = Mixing(self._mixup, self._cutmix)
        # where steps are computed: bytes are quicker to send than floats
        return mixed(inputs.to(self._device), labels.to(self._device), self._classes, mixing, rng)


def _is_bfloat16(tuning: Full, device: str) -> bool:
    return tuning.precision == "bfloat16" or (tuning.precision == "auto" and device.startswith("cuda"))


def _is_compiled(tuning: Full, arch: Arch, train: FreshPhotos, run: Run) -> bool:
    """Decided by what does not change between a run and its resumption: another way of computing has other bits."""
    if tuning.compile != "auto":
        return tuning.compile == "always"
    macs = 3 * cost(arch).macs * tuning.epochs * len(train.labels)
    on_gpu = run.group.device.startswith("cuda")
    return on_gpu and macs >= COMPILED_FROM_MACS and find_spec("triton") is not None
