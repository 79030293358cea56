"""Test on held-out scenes of the training photos whether training the last blocks helps."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.stage_result import Gain
from lungfish.training.attach import attach
from lungfish.training.finetune import LabelledViews, Positions, ViewsOfPhotos, finetune, tail_of, validation
from lungfish.training.interpolation import Validated, move_to_best
from lungfish.training.loop import Run
from lungfish.training.paired_gain import gain, losses
from lungfish.training.probe import Head, LabelledFeatures, fit_penalty, fit_temperature
from lungfish.training.stage_settings import Finetune
from lungfish.training.validation import score

if TYPE_CHECKING:
    from lungfish.nn import Network

HALVES = 2


@dataclass(frozen=True, eq=False)
class Subset:
    """The views of some of the photos."""

    whole: ViewsOfPhotos
    chosen: Positions

    @property
    def views(self) -> int:
        return self.whole.views

    def rows(self, photos: Positions, views: Positions, /) -> NDArray[np.float16]:
        return self.whole.rows(self.chosen[photos], views)


@dataclass(frozen=True, eq=False)
class Photos:
    """Photos to cross-fit on, and validation photos to select weights with.

    Args:
        train: Activations of training photos at the boundary.
        samples: Features of the same photos.
        units: int64 `[n]`; photos of one scene share a number.
        val: Activations of validation photos.
        val_features: Features of the validation photos.
        val_units: int64 `[m]`, scenes of the validation photos.
    """

    train: LabelledViews
    samples: LabelledFeatures
    units: NDArray[np.int64]
    val: LabelledViews
    val_features: NDArray[np.float32]
    val_units: NDArray[np.int64]


def cross_fit(network: Network, block: int, photos: Photos, head: Head, tuning: Finetune, run: Run) -> Gain | None:
    """Fit a head on one half of the photos, train the network further, and compare both on the other half; then swap.

    Args:
        network: Network with the head stage; not changed.
        block: First block to train.
        photos: Photos to cross-fit on.
        head: Head whose penalty and class weights are used.
        tuning: Settings of the stage.
        run: Context of the run on all photos.

    Returns:
        The fall in loss over all training photos, or, if the first half shows none, over that half; None if a class has
            too few scenes for two halves.
    """
    labels, before, after = photos.train.labels, np.empty(len(photos.units)), np.empty(len(photos.units))
    answered, found = np.empty(0, np.int64), None
    halves = _halves(labels, photos.units, run.seed)
    for number, (seen, held_out) in enumerate(halves, 1):
        first = LabelledFeatures(photos.samples.features[seen], labels[seen])
        fitted = fit_penalty(first, head.penalty, balanced=head.balanced)
        on_val = fitted.logits(photos.val_features)
        temperature = fit_temperature(on_val, photos.val.labels)
        before[held_out] = losses(fitted.logits(photos.samples.features[held_out]), labels[held_out], temperature)

        tuned = deepcopy(network)
        attach(tuned, fitted, len(fitted.bias))
        start = {name: tensor.clone() for name, tensor in tuned.state_dict().items()}
        half = LabelledViews(Subset(photos.train.views, seen), labels[seen])
        alone = replace(
            run,
            name=f"{run.name}, cross-validation {number} of {HALVES}",
            checkpoints=None,
            journal=None,
            val_top1_before=score(on_val, photos.val.labels).top1,
        )
        trained = finetune(tuned, block, half, photos.val, tuning, alone)
        ends = [{name: tensor.clone() for name, tensor in tuned.state_dict().items()}, trained.last]
        answer = partial(_logits, tuned, block, photos.val, run)
        _, _, val_logits = move_to_best(tuned, start, ends, Validated(answer, photos.val.labels, photos.val_units))
        unseen = LabelledViews(Subset(photos.train.views, held_out), labels[held_out])
        temperature = fit_temperature(val_logits, photos.val.labels)
        after[held_out] = losses(_logits(tuned, block, unseen, run), labels[held_out], temperature)
        answered = np.concatenate([answered, held_out])
        found = gain(before[answered], after[answered], photos.units[answered])
        if found.mean <= 0:
            break
    return found


def _halves(labels: NDArray[np.int64], units: NDArray[np.int64], seed: int) -> list[tuple[Positions, Positions]]:
    """Return two halves as (fitted, held out), then swapped; empty if a class cannot be in both."""
    from sklearn.model_selection import StratifiedGroupKFold

    if min(len(set(units[labels == label])) for label in set(labels)) < HALVES:
        return []
    splitter = StratifiedGroupKFold(HALVES, shuffle=True, random_state=seed)
    halves = list(splitter.split(labels, labels, units))
    return halves if all(set(labels[seen]) == set(labels) for seen, _ in halves) else []


def _logits(network: Network, block: int, photos: LabelledViews, run: Run) -> NDArray[np.float32]:
    logits = validation(photos, run.group).logits(tail_of(network, block).to(run.group.device))
    network.cpu()
    return logits
