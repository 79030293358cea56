"""The step `finetune`: the last blocks, trained from activations of augmented views."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import StorageError
from lungfish.data.augment.augmentation import Augmentation
from lungfish.data.loading.activations import FrozenPart, ViewSettings, bytes_available, compute_views
from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages.cross_fit import Photos, cross_fit
from lungfish.job.stages.stage import RESERVE, SHORTEST_EPOCHS, Setting
from lungfish.training.checkpoint import read_job
from lungfish.training.finetune import (
    LabelledViews,
    activation_bytes,
    boundary_shape,
    choose_boundary,
    finetune,
    share_before,
    tail_of,
    validation,
)
from lungfish.training.group import first_leads
from lungfish.training.loop import Fitted, Run
from lungfish.training.probe import Head
from lungfish.training.stage_settings import Finetune
from lungfish.training.step_time import seconds_per_photo
from lungfish.training.trunk import open_boundary

if TYPE_CHECKING:
    from lungfish.nn import Network


class FinetuneStep:
    """See `Step`."""

    is_again = False

    def __init__(self, network: Network, tuning: Finetune, setting: Setting) -> None:
        self._network, self.tuning, self._setting = network, tuning, setting
        self._train, self._val = setting.gathered.indices("train"), setting.gathered.indices("val")
        self._photo_s: dict[int, float] = {}
        self._block = len(network.blocks)
        self.trained = tuning  # by the first run, as the time allowed

    def shortened(self, left_s: float) -> tuple[Finetune | None, float]:
        tuning = self.tuning
        while self._held_bytes(tuning) > self._room_bytes:
            if not tuning.views:
                held, room = (f"{count / 1e9:.3g} GB" for count in (self._held_bytes(tuning), self._room_bytes))
                raise StorageError(f"activations take {held} without augmented views, and {room} are there for them")
            tuning = replace(tuning, views=tuning.views - 1)
        needed_s = math.inf
        for shorter in self._ways(tuning):
            needed_s = min(needed_s, self._needed_s(shorter))
            if needed_s <= left_s:
                return shorter, needed_s
        return None, needed_s

    def first_block(self, tuning: Finetune, /) -> int:
        # the disk has a say, which may be another one when a stopped run goes on
        begun = read_job(self._setting.folder / "finetune") or {}
        self._block = self._setting.group.agree(int(begun.get("first_block", self._boundary(tuning))))
        return self._block

    def cross_fit(self, head: Head, tuning: Finetune, run: Run) -> Gain | None:
        gathered = self._setting.gathered
        if len(gathered.embedded_indices("train")) < len(self._train):
            return None
        train, val = self._labelled(tuning)
        photos = Photos(
            train=train,
            samples=gathered.samples(self._train),
            units=gathered.sides.units[self._train],
            val=val,
            val_features=gathered.samples(self._val).features,
            val_units=gathered.sides.units[self._val],
        )
        return cross_fit(self._network, self._block, photos, head, tuning, run)

    def train(self, tuning: Finetune, run: Run) -> Fitted:
        self.trained = tuning
        return self.train_again(tuning, run)

    def train_again(self, tuning: Finetune, run: Run) -> Fitted:
        """As `train`, for a run that may be shorter than the first."""
        return finetune(self._network, self._block, *self._labelled(tuning), tuning, run)

    def _labelled(self, tuning: Finetune) -> tuple[LabelledViews, LabelledViews]:
        """Training views, and the plain ones of validation photos."""
        with first_leads(self._setting.group):
            return self._views(self._train, tuning, tuning.views), self._on_val

    def val_logits(self) -> NDArray[np.float32]:
        group = self._setting.group
        tail = tail_of(self._network, self._block).to(group.device)
        logits = validation(self._on_val, group).logits(tail)
        self._network.cpu()
        return logits

    def _ways(self, tuning: Finetune) -> Iterator[Finetune]:
        """The settings, then shorter ones: fewer epochs with fewer views, then fewer blocks."""
        least = min(tuning.epochs, SHORTEST_EPOCHS)
        yield tuning
        for epochs in range(tuning.epochs - 1, least - 1, -1):
            yield replace(tuning, epochs=epochs, views=min(tuning.views, max(epochs // 2, 1)))
        shortest = replace(tuning, epochs=least, views=min(tuning.views, max(least // 2, 1)))
        fewer_blocks = replace(shortest, tail_share=max(tuning.tail_share / 2, 0.01))
        if self._held_bytes(fewer_blocks) <= self._room_bytes:
            yield fewer_blocks

    def _boundary(self, tuning: Finetune) -> int:
        arch, views = self._network.arch, 1 + tuning.views
        return choose_boundary(arch, tuning.tail_share, len(self._train), views, self._room_bytes)

    def _held_bytes(self, tuning: Finetune) -> int:
        return activation_bytes(self._network.arch, self._boundary(tuning), len(self._train), 1 + tuning.views)

    @cached_property
    def _room_bytes(self) -> int:
        return bytes_available() // 2  # those of validation photos, and what else wants a place, are not counted

    @cached_property
    def _trunk(self) -> FrozenPart:
        return open_boundary(self._network, self._setting.entry, self._block)

    @cached_property
    def _on_val(self) -> LabelledViews:
        return self._views(self._val, self.tuning, 0)

    def _views(self, indices: NDArray[np.int64], tuning: Finetune, views: int) -> LabelledViews:
        setting, gathered = self._setting, self._setting.gathered
        records = [gathered.examined.records[i] for i in indices]
        activations = compute_views(
            [gathered.reader(record.photo) for record in records],
            [record.seen.sha256 for record in records],
            self._trunk,
            setting.preprocess,
            ViewSettings(views, Augmentation(tuning.min_area, flips=tuning.flips, color=tuning.color), setting.seed),
            setting.progress,
        )
        return LabelledViews(activations, gathered.truth[indices])

    def _needed_s(self, tuning: Finetune) -> float:
        """Seconds for all views, and for all epochs."""
        share = share_before(self._network.arch, self._boundary(tuning))
        views_s = self._setting.pace.views_s(len(self._train), 1 + tuning.views, share)
        few = len(self._train) < self._setting.recipe.few_photos
        return RESERVE * views_s + (2 if few else 1) * self.epochs_s(tuning)  # as long again to cross-fit

    def epochs_s(self, tuning: Finetune) -> float:
        """Return the seconds that all epochs need; validation goes forward only, a third."""
        block = self._boundary(tuning)
        if block not in self._photo_s:
            self._photo_s[block] = self._measured_photo_s(block)
        return RESERVE * tuning.epochs * self._photo_s[block] * (len(self._train) + len(self._val) / 3)

    def _measured_photo_s(self, block: int) -> float:
        """Seconds for one photo's way forward and back, in the group."""
        import torch

        group, arch = self._setting.group, self._network.arch
        batch = min(self.tuning.batch, len(self._train))
        photos = max(batch // (group.size * self.tuning.accumulate), 2)  # batch norm needs two
        tail = tail_of(self._network, block).to(group.device)
        inputs = torch.zeros((photos, *boundary_shape(arch, block)), device=group.device)
        seconds = seconds_per_photo(tail, inputs, learns_statistics=self.tuning.batch_norm == "batch")
        self._network.cpu()
        return seconds / group.size
