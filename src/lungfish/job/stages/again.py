"""The step `finetune` once more, in another random order: the weights of the runs are averaged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages.finetune import FinetuneStep
from lungfish.training.loop import Fitted, Run
from lungfish.training.probe import Head
from lungfish.training.stage_settings import Finetune

LEAST_SHARE = 0.75  # of the epochs of the first run: a run that learned much less makes the average worse
SEED_STEP = 2**32  # between the seeds of two runs; those of jobs are below


class AgainStep:
    """See `Step`. The views are those of the first run, so that it takes only the time of the epochs.

    Args:
        first: The first run.
        number: Of this run, from 2.
    """

    is_again = True

    def __init__(self, first: FinetuneStep, number: int) -> None:
        self._first, self._number = first, number

    @property
    def tuning(self) -> Finetune:
        """The settings of the first run, as the time allowed them."""
        return self._first.trained

    def shortened(self, left_s: float) -> tuple[Finetune | None, float]:
        needed_s = math.inf
        for epochs in range(self.tuning.epochs, math.ceil(LEAST_SHARE * self.tuning.epochs) - 1, -1):
            shorter = replace(self.tuning, epochs=epochs)
            needed_s = self._first.epochs_s(shorter)
            if needed_s <= left_s:
                return shorter, needed_s
        return None, needed_s

    def first_block(self, tuning: Finetune, /) -> int:
        return self._first.first_block(tuning)

    def cross_fit(self, _head: Head, _tuning: Finetune, _run: Run, /) -> Gain | None:
        return None  # the first run has shown it

    def train(self, tuning: Finetune, run: Run) -> Fitted:
        return self._first.train_again(tuning, replace(run, seed=run.seed + SEED_STEP * (self._number - 1)))

    def val_logits(self) -> NDArray[np.float32]:
        return self._first.val_logits()
