"""The step `finetune`: the last blocks, trained from activations of augmented views."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.data.augmentation import Augmentation
from lungfish.data.views import Shape, ViewSettings, bytes_available, compute_views
from lungfish.training.checkpoint import read_job
from lungfish.training.finetune import LabelledViews, choose_boundary, finetune, share_before, tail_of, validation
from lungfish.training.group import first_leads
from lungfish.training.loop import Fitted, Run
from lungfish.training.pace import seconds_per_photo
from lungfish.training.trunk import open_boundary
from lungfish.training.tuning import Finetune
from lungfish.workflows.run_folder import run_folder
from lungfish.workflows.step import LEAST_EPOCHS, Setting

if TYPE_CHECKING:
    from lungfish.nn import Network


class FinetuneStep:
    """See `Step`."""

    def __init__(self, network: Network, tuning: Finetune, setting: Setting) -> None:
        self._network, self._tuning, self._setting = network, tuning, setting
        gathered = setting.gathered
        self._train, self._val = gathered.indices("train"), gathered.indices("val")
        # the disk at hand has a say, which may be another one when a stopped run goes on
        begun = read_job(run_folder(setting.target) / "finetune") if setting.resume else None
        views, room = 1 + tuning.views, bytes_available() // 2
        block = choose_boundary(network.arch, tuning.tail_share, len(self._train), views, room)
        self.first_block: int = setting.group.agree(int(begun.get("first_block", block)) if begun else block)
        self._trunk = open_boundary(network, setting.entry, self.first_block)

    def shortened(self, left_s: float) -> tuple[Finetune | None, float]:
        epochs, views = self._tuning.epochs, self._tuning.views
        least, share = min(epochs, LEAST_EPOCHS), share_before(self._network.arch, self.first_block)
        shorter = [(some, views) for some in range(epochs, max(epochs // 2, least) - 1, -1)]
        needed_s = 0.0
        for some, of in (*shorter, (max(epochs // 2, least), views // 2), (least, min(views, 1))):
            needed_s = self._setting.pace.views_s(len(self._train), 1 + of, share)
            needed_s += some * self._photo_s * (len(self._train) + len(self._val) / 3)  # forward is a third
            if needed_s <= left_s:
                return replace(self._tuning, epochs=some, views=of), needed_s
        return None, needed_s

    def train(self, tuning: Finetune, run: Run) -> Fitted:
        with first_leads(self._setting.group):
            train, val = self._views(self._train, tuning, tuning.views), self._on_val
        return finetune(self._network, self.first_block, train, val, tuning, run)

    def val_logits(self) -> NDArray[np.float32]:
        group = self._setting.group
        tail = tail_of(self._network, self.first_block).to(group.device)
        logits = validation(self._on_val, group).logits(tail)
        self._network.cpu()
        return logits

    @cached_property
    def _on_val(self) -> LabelledViews:
        return self._views(self._val, self._tuning, 0)

    def _views(self, indices: NDArray[np.int64], tuning: Finetune, views: int) -> LabelledViews:
        setting, gathered = self._setting, self._setting.gathered
        records = [gathered.examined.records[i] for i in indices]
        activations = compute_views(
            [gathered.reader(record.photo) for record in records],
            [record.seen.sha256 for record in records],
            self._trunk,
            setting.preprocess,
            ViewSettings(views, Augmentation(tuning.min_area, flips=tuning.flips), setting.seed),
            setting.progress,
        )
        return LabelledViews(activations, gathered.truth[indices])

    @cached_property
    def _photo_s(self) -> float:
        """Seconds for one photo's way forward and back, in the group."""
        import torch

        shape: Shape = self._trunk.shape
        photos = max(self._tuning.batch // self._setting.group.size, 1)
        device = self._setting.group.device
        tail, inputs = tail_of(self._network, self.first_block).to(device), torch.zeros((photos, *shape), device=device)
        seconds = seconds_per_photo(tail, inputs, learns_statistics=self._tuning.batch_norm == "batch")
        self._network.cpu()
        return seconds / self._setting.group.size
