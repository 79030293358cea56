"""The stage `full`: train every layer on photos that are augmented afresh in each epoch."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.costs import cost
from lungfish.data.augment.fresh import FreshAugmentation
from lungfish.data.loading.batches import PhotoBatches, plain_batches
from lungfish.data.loading.loader import PhotoLoader
from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages.stage import RESERVE, SHORTEST_EPOCHS, Budget, OpenStage, Plan, TrainingContext
from lungfish.runtime.cores import physical_cores
from lungfish.training.full import full, sides_px
from lungfish.training.loop import FitResult, Run
from lungfish.training.probe import Head
from lungfish.training.stage_settings import Full
from lungfish.training.step_time import seconds_per_photo
from lungfish.training.validation import Validation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lungfish.nn import Network

SAMPLE_MACS = 12_500_000_000  # in one timed batch: 32 photos with EfficientNet-Lite0, fewer with larger networks


class FullStage:
    """The stage `full`. See `Stage`."""

    is_again = False

    def __init__(self, network: Network, settings: Full, context: TrainingContext) -> None:
        self.settings = settings
        self._network, self._context = network, context
        self._train, self._val = (len(context.dataset.records(split)) for split in ("train", "val"))

    def estimate(self, budget: Budget, first: Plan[Full] | None = None) -> Plan[Full]:  # noqa: ARG002
        possible = range(min(self.settings.epochs, SHORTEST_EPOCHS), self.settings.epochs + 1)
        whole_s = self._seconds(self.settings.epochs)
        fitting = bisect_right(possible, budget.seconds, key=self._seconds)
        if not fitting:
            return Plan(self.settings, None, self._seconds(possible[0]), whole_s, 0)
        epochs = possible[fitting - 1]
        return Plan(self.settings, replace(self.settings, epochs=epochs), self._seconds(epochs), whole_s, 0)

    def open(self, plan: Plan[Full]) -> OpenStage:
        return OpenFull(self._network, plan, self._context)

    def _seconds(self, epochs: int) -> float:
        """Return the seconds for this number of epochs, at their resolutions; validation has no backward pass."""
        context, resolution_px = self._context, self._context.preprocess.resolution_px
        sides = sides_px(replace(self.settings, epochs=epochs), resolution_px)
        areas = sum((side / resolution_px) ** 2 for side in sides)
        computed_s = self._photo_s * (areas * self._train + epochs * self._val / 3)
        read_s = context.speed.decode_s * epochs * (self._train + self._val)
        # accelerators compute while photos are read
        together_s = computed_s + read_s if context.group.device == "cpu" else max(computed_s, read_s)
        return RESERVE * together_s / context.group.size

    @cached_property
    def _photo_s(self) -> float:
        """Seconds per photo for forward and backward pass at full resolution in one process, measured once."""
        import torch

        side, device = self._context.preprocess.resolution_px, self._context.group.device
        at_once = self.settings.batch_size // self.settings.grad_accum_steps
        photos = max(min(SAMPLE_MACS // cost(self._network.arch).macs, at_once), 2)  # batch norm needs two
        pixels = torch.zeros((photos, 3, side, side), dtype=torch.uint8, device=device)
        learns = self.settings.batch_norm == "batch"
        seconds = seconds_per_photo(_layers(self._network, self._context), pixels, learns_statistics=learns)
        self._network.cpu()
        return seconds


class OpenFull:
    """The stage `full`, opened. See `OpenStage`."""

    def __init__(self, network: Network, plan: Plan[Full], context: TrainingContext) -> None:
        assert plan.settings
        self._network, self._settings, self._context = network, plan.settings, context

    def cross_fit(self, _head: Head, _run: Run, /) -> Gain | None:
        return None  # training all layers twice more would take too long

    def train(self, run: Run) -> FitResult:
        context, settings = self._context, self._settings
        augmentation = FreshAugmentation(
            settings.min_area, flips=settings.flips, color=settings.color, policy=settings.policy
        )
        with PhotoLoader(context.dataset.photos.reader, self._workers()) as loader:
            records = context.dataset.records("train")
            train = PhotoBatches(loader, records, context.preprocess, augmentation, context.seed)
            return full(self._network, context.preprocess, train, self._validation(loader), settings, run)

    def val_logits(self) -> NDArray[np.float32]:
        with PhotoLoader(self._context.dataset.photos.reader) as loader:
            logits = self._validation(loader).logits(_layers(self._network, self._context))
        self._network.cpu()
        return logits

    def _validation(self, loader: PhotoLoader) -> Validation:
        context, dataset = self._context, self._context.dataset
        records = dataset.records("val")

        def inputs(chunks: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
            return plain_batches(loader, records, context.preprocess, chunks)

        return Validation(inputs, dataset.truth[dataset.indices("val")], context.group)

    def _workers(self) -> int:
        if self._settings.workers >= 0:
            return self._settings.workers
        on_gpu = self._context.group.device.startswith("cuda")
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return max(physical_cores() // processes, 1) if on_gpu else 0


def _layers(network: Network, context: TrainingContext) -> nn.Sequential:
    """Return the network from pixels to logits, on the group's device."""
    from lungfish.training.layers import from_pixels

    return from_pixels(network, context.preprocess).to(context.group.device)
