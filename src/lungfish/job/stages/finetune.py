"""The stage `finetune`: train the last blocks on activations of augmented views."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.data.augment.augmentation import Augmentation
from lungfish.data.loading.activations import FrozenPart, ViewSettings, compute_views
from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages.cross_fit import Photos, cross_fit
from lungfish.job.stages.stage import RESERVE, SHORTEST_EPOCHS, Budget, OpenStage, Plan, TrainingContext
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
from lungfish.training.group import main_first
from lungfish.training.loop import FitResult, Run
from lungfish.training.probe import Head
from lungfish.training.stage_settings import Finetune
from lungfish.training.step_time import seconds_per_photo
from lungfish.training.trunk import open_boundary
from lungfish.weights.load import from_network

if TYPE_CHECKING:
    from lungfish.nn import Network

LEAST_SHARE_AGAIN = 0.75  # share of the first run's epochs; a much shorter run makes the average worse
SEED_STEP = 2**32  # difference of the seeds of two runs; seeds of jobs are smaller


class FinetuneStage:
    """The first run of `finetune`. See `Stage`."""

    is_again = False

    def __init__(self, network: Network, settings: Finetune, context: TrainingContext) -> None:
        self.settings = settings
        self._network, self._context = network, context
        self._train, self._val = (len(context.dataset.indices(split)) for split in ("train", "val"))
        self._measured_s: dict[int, float] = {}  # per photo, forward and backward, by first block

    def estimate(self, budget: Budget, first: Plan[Finetune] | None = None) -> Plan[Finetune]:  # noqa: ARG002
        blocks, plain = len(self._network.blocks), replace(self.settings, views=0)
        if (held := self._needed_bytes(plain, budget)) > budget.disk_bytes:
            takes, room = (f"{count / 1e9:.3g} GB" for count in (held, budget.disk_bytes))
            obstacle = f"activations take {takes} even without augmented views, and {room} is free for them"
            return Plan(self.settings, None, 0.0, 0.0, blocks, obstacle)
        needed_s = []
        for settings in self._ways(budget):
            needed_s.append(self._seconds(settings, budget))
            if needed_s[-1] <= budget.seconds:
                return Plan(self.settings, settings, needed_s[-1], needed_s[0], self._boundary(settings, budget))
        return Plan(self.settings, None, min(needed_s), needed_s[0], blocks)

    def open(self, plan: Plan[Finetune]) -> OpenStage:
        return OpenFinetune(self._network, plan, self._context)

    def epochs_s(self, settings: Finetune, first_block: int) -> float:
        """Return the seconds for all epochs; validation, without a backward pass, takes a third per photo."""
        photo_s = self._photo_s(first_block)
        return RESERVE * settings.epochs * photo_s * (self._train + self._val / 3)

    def _ways(self, budget: Budget) -> Iterator[Finetune]:
        """Yield settings: as many views as fit on the disk, then fewer epochs with fewer views, then fewer blocks."""
        counts = range(self.settings.views, -1, -1)
        ways = (replace(self.settings, views=views) for views in counts)
        longest = next(each for each in ways if self._needed_bytes(each, budget) <= budget.disk_bytes)
        least = min(longest.epochs, SHORTEST_EPOCHS)
        yield longest
        for epochs in range(longest.epochs - 1, least - 1, -1):
            yield replace(longest, epochs=epochs, views=min(longest.views, max(epochs // 2, 1)))
        shortest = replace(longest, epochs=least, views=min(longest.views, max(least // 2, 1)))
        fewer_blocks = replace(shortest, tail_share=max(longest.tail_share / 2, 0.01))
        if self._needed_bytes(fewer_blocks, budget) <= budget.disk_bytes:
            yield fewer_blocks

    def _seconds(self, settings: Finetune, budget: Budget) -> float:
        """Return the seconds for all views and all epochs."""
        block, recipe = self._boundary(settings, budget), self._context.recipe
        views_s = self._context.speed.views_s(self._train, 1 + settings.views, share_before(self._network.arch, block))
        passes = 2 if self._train < recipe.few_photos else 1  # cross-fitting takes as long again
        return RESERVE * views_s + passes * self.epochs_s(settings, block)

    def _boundary(self, settings: Finetune, budget: Budget) -> int:
        views = 1 + settings.views
        return choose_boundary(self._network.arch, settings.tail_share, self._train, views, budget.disk_bytes)

    def _needed_bytes(self, settings: Finetune, budget: Budget) -> int:
        block = self._boundary(settings, budget)
        return activation_bytes(self._network.arch, block, self._train, 1 + settings.views)

    def _photo_s(self, block: int) -> float:
        """Return the seconds per photo for forward and backward pass in the group, measured once for each block."""
        import torch

        if block not in self._measured_s:
            group, settings = self._context.group, self.settings
            batch = min(settings.batch_size, self._train)
            photos = max(batch // (group.size * settings.grad_accum_steps), 2)  # batch norm needs two
            tail = tail_of(self._network, block).to(group.device)
            inputs = torch.zeros((photos, *boundary_shape(self._network.arch, block)), device=group.device)
            seconds = seconds_per_photo(tail, inputs, learns_statistics=settings.batch_norm == "batch")
            self._network.cpu()
            self._measured_s[block] = seconds / group.size
        return self._measured_s[block]


class FinetuneAgainStage:
    """A further run of `finetune` in another random order, to average the weights of the runs. See `Stage`.

    It reuses the views of the first run, so it takes only the time of its epochs.

    Args:
        first: First run.
        number: Number of this run, from 2.
    """

    is_again = True

    def __init__(self, first: FinetuneStage, number: int) -> None:
        self.settings = first.settings
        self._first, self._number = first, number

    def estimate(self, budget: Budget, first: Plan[Finetune] | None = None) -> Plan[Finetune]:
        asked = first.settings if first and first.settings else self.settings
        block = first.first_block if first else self._first.estimate(budget).first_block
        seconds = whole_s = self._first.epochs_s(asked, block)
        for epochs in range(asked.epochs, math.ceil(LEAST_SHARE_AGAIN * asked.epochs) - 1, -1):
            settings = replace(asked, epochs=epochs)
            seconds = self._first.epochs_s(settings, block)
            if seconds <= budget.seconds:
                return Plan(asked, settings, seconds, whole_s, block)
        return Plan(asked, None, seconds, whole_s, block)

    def open(self, plan: Plan[Finetune]) -> OpenStage:
        return _OpenAgain(self._first.open(plan), SEED_STEP * (self._number - 1))


class OpenFinetune:
    """The first run of `finetune`, opened. See `OpenStage`."""

    def __init__(self, network: Network, plan: Plan[Finetune], context: TrainingContext) -> None:
        assert plan.settings
        self._network, self._settings, self._block = network, plan.settings, plan.first_block
        self._context = context
        self._train, self._val = context.dataset.indices("train"), context.dataset.indices("val")

    def cross_fit(self, head: Head, run: Run) -> Gain | None:
        dataset = self._context.dataset
        if len(dataset.embedded_indices("train")) < len(self._train):
            return None
        train, val = self._labelled()
        photos = Photos(
            train=train,
            samples=dataset.samples(self._train),
            units=dataset.assignment.units[self._train],
            val=val,
            val_features=dataset.samples(self._val).features,
            val_units=dataset.assignment.units[self._val],
        )
        return cross_fit(self._network, self._block, photos, head, self._settings, run)

    def train(self, run: Run) -> FitResult:
        return finetune(self._network, self._block, *self._labelled(), self._settings, run)

    def val_logits(self) -> NDArray[np.float32]:
        group = self._context.group
        tail = tail_of(self._network, self._block).to(group.device)
        logits = validation(self._on_val, group).logits(tail)
        self._network.cpu()
        return logits

    def _labelled(self) -> tuple[LabelledViews, LabelledViews]:
        """Return the training views, and the plain views of the validation photos."""
        with main_first(self._context.group):
            return self._views(self._train, self._settings.views), self._on_val

    @cached_property
    def _frozen(self) -> FrozenPart:
        return open_boundary(from_network(self._network), self._context.entry, self._block)

    @cached_property
    def _on_val(self) -> LabelledViews:
        return self._views(self._val, 0)

    def _views(self, indices: NDArray[np.int64], views: int) -> LabelledViews:
        context, dataset, settings = self._context, self._context.dataset, self._settings
        records = [dataset.examined.records[i] for i in indices]
        augmentation = Augmentation(settings.min_area, flips=settings.flips, color=settings.color)
        activations = compute_views(
            [dataset.reader(record.photo) for record in records],
            [record.seen.sha256 for record in records],
            self._frozen,
            context.preprocess,
            ViewSettings(views, augmentation, context.seed),
            context.progress,
        )
        return LabelledViews(activations, dataset.truth[indices])


class _OpenAgain:
    """A further run of `finetune`, opened. See `OpenStage`."""

    def __init__(self, first: OpenStage, seed_offset: int) -> None:
        self._first, self._seed_offset = first, seed_offset

    def cross_fit(self, _head: Head, _run: Run, /) -> Gain | None:
        return None  # done by the first run

    def train(self, run: Run) -> FitResult:
        return self._first.train(replace(run, seed=run.seed + self._seed_offset))

    def val_logits(self) -> NDArray[np.float32]:
        return self._first.val_logits()
