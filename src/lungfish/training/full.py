"""Train the whole network on photos, augmented afresh in every epoch."""

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
PHASES = 3  # of rising resolution; few, because each is compiled separately
SIDE_STEP_PX = 32  # the stride of the last feature map
MIXING_STREAM = 3
# Multiply-adds of a GPU run above which compiling pays off: it takes about two minutes, and this many multiply-adds
# take some ten minutes on a large GPU. On a CPU, compiled steps are slower than eager ones: docs/decisions/0015.
COMPILED_FROM_MACS = 1e15


class FreshPhotos(Protocol):
    """Training photos whose augmentation depends on seed, epoch and photo only."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every photo."""
        ...

    def epoch(self, epoch: int, chunks: Sequence[Positions], side_px: int, /) -> Iterator[Tensor]:
        """Yield uint8 `[n, 3, side_px, side_px]` for each chunk of positions."""
        ...


def full(
    network: Network, preprocess: Preprocessing, train: FreshPhotos, val: Validation, tuning: Full, run: Run
) -> FitResult:
    """Train every layer; `network` ends with the weights of the best epoch.

    Args:
        network: Network with a classifier for the labels.
        preprocess: Preprocessing of the pixels.
        train: Training photos.
        val: Validation on plain views.
        tuning: Settings of the recipe.
        run: Context of the run; `bfloat16`, `compiled` and `areas` are set here.

    Returns:
        The result, in which `last` has the tensor names of `network`.

    Raises:
        DivergedError: The loss is not finite.
        UsageError: The run to resume belongs to another job.
        StorageError: A checkpoint cannot be written.
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
    """Return the resolution of each epoch.

    It rises in steps; the last third of the epochs, and at least the last one, has the network's resolution.
    """
    sides = []
    for left in reversed(range(tuning.epochs)):
        missing = PHASES * left // tuning.epochs  # phases still to come
        share = 1 - (1 - tuning.initial_resolution_scale) * missing / (PHASES - 1)
        rounded = round(share * resolution_px / SIDE_STEP_PX) * SIDE_STEP_PX
        sides.append(resolution_px if share == 1 else min(max(rounded, SIDE_STEP_PX), resolution_px))
    return sides


class _Batches:
    """Augmented photos at the resolution of the epoch with their labels, mixed if the recipe says so."""

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
        # mix on the device: bytes are sent faster than floats
        return mixed(inputs.to(self._device), labels.to(self._device), self._classes, mixing, rng)


def _is_bfloat16(tuning: Full, device: str) -> bool:
    return tuning.precision == "bfloat16" or (tuning.precision == "auto" and device.startswith("cuda"))


def _is_compiled(tuning: Full, arch: Arch, train: FreshPhotos, run: Run) -> bool:
    """Return whether to compile. A resumed run gets the same answer, since compiling changes the bits."""
    if tuning.compile != "auto":
        return tuning.compile == "always"
    macs = 3 * cost(arch).macs * tuning.epochs * len(train.labels)
    on_gpu = run.group.device.startswith("cuda")
    return on_gpu and macs >= COMPILED_FROM_MACS and find_spec("triton") is not None
