"""The step `full`: every layer, trained from photos that are augmented anew in every epoch."""

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
from lungfish.job.stages.stage import RESERVE, SHORTEST_EPOCHS, Setting
from lungfish.runtime.cores import physical_cores
from lungfish.training.full import full, sides_px
from lungfish.training.loop import Fitted, Run
from lungfish.training.paired_gain import Gain
from lungfish.training.probe import Head
from lungfish.training.stage_settings import Full
from lungfish.training.step_time import seconds_per_photo
from lungfish.training.validation import Validation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lungfish.nn import Network

SAMPLE_MACS = 12_500_000_000  # of the photos that are timed: 32 through EfficientNet-Lite0, fewer through more


class FullStep:
    """See `Step`."""

    is_again = False

    def __init__(self, network: Network, tuning: Full, setting: Setting) -> None:
        self._network, self.tuning, self._setting = network, tuning, setting
        self._train, self._val = setting.gathered.records("train"), setting.gathered.records("val")
        self._truth = setting.gathered.truth[setting.gathered.indices("val")]

    def first_block(self, _tuning: Full, /) -> int:
        return 0

    def shortened(self, left_s: float) -> tuple[Full | None, float]:
        possible = range(min(self.tuning.epochs, SHORTEST_EPOCHS), self.tuning.epochs + 1)
        fitting = bisect_right(possible, left_s, key=self._needed_s)
        if not fitting:
            return None, self._needed_s(possible[0])
        epochs = possible[fitting - 1]
        return replace(self.tuning, epochs=epochs), self._needed_s(epochs)

    def _needed_s(self, epochs: int) -> float:
        """Seconds for so many epochs, the first ones at a lower resolution; validation goes forward only, a third."""
        resolution_px = self._setting.preprocess.resolution_px
        sides = sides_px(replace(self.tuning, epochs=epochs), resolution_px)
        areas = sum((side / resolution_px) ** 2 for side in sides)
        computed_s = self._photo_s * (areas * len(self._train) + epochs * len(self._val) / 3)
        read_s = self._setting.pace.decode_s * epochs * (len(self._train) + len(self._val))
        # accelerators compute while photos are read
        together_s = computed_s + read_s if self._setting.group.device == "cpu" else max(computed_s, read_s)
        return RESERVE * together_s / self._setting.group.size

    def cross_fit(self, _head: Head, _tuning: Full, _run: Run, /) -> Gain | None:
        return None  # all layers, trained twice more, take too long

    def train(self, tuning: Full, run: Run) -> Fitted:
        setting = self._setting
        augmentation = FreshAugmentation(tuning.min_area, flips=tuning.flips, color=tuning.color, policy=tuning.policy)
        with PhotoLoader(setting.gathered.photos.reader, self._workers(tuning)) as loader:
            train = PhotoBatches(loader, self._train, setting.preprocess, augmentation, setting.seed)
            normalization = setting.entry.normalization
            return full(self._network, normalization, train, self._validation(loader), tuning, run)

    def val_logits(self) -> NDArray[np.float32]:
        setting = self._setting
        with PhotoLoader(setting.gathered.photos.reader) as loader:
            logits = self._validation(loader).logits(self._layers())
        self._network.cpu()
        return logits

    def _validation(self, loader: PhotoLoader) -> Validation:
        def inputs(chunks: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
            return plain_batches(loader, self._val, self._setting.preprocess, chunks)

        return Validation(inputs, self._truth, self._setting.group)

    def _layers(self) -> nn.Sequential:
        from lungfish.training.layers import from_pixels

        return from_pixels(self._network, self._setting.entry.normalization).to(self._setting.group.device)

    def _workers(self, tuning: Full) -> int:
        if tuning.workers >= 0:
            return tuning.workers
        on_gpu = self._setting.group.device.startswith("cuda")
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return max(physical_cores() // processes, 1) if on_gpu else 0

    @cached_property
    def _photo_s(self) -> float:
        """Seconds for one photo's way forward and back at the full resolution, in one process."""
        import torch

        side = self._setting.preprocess.resolution_px
        device = self._setting.group.device
        at_once = self.tuning.batch // self.tuning.accumulate
        photos = max(min(SAMPLE_MACS // cost(self._network.arch).macs, at_once), 2)  # batch norm needs two
        pixels = torch.zeros((photos, 3, side, side), dtype=torch.uint8, device=device)
        learns = self.tuning.batch_norm == "batch"
        seconds = seconds_per_photo(self._layers(), pixels, learns_statistics=learns)
        self._network.cpu()
        return seconds
