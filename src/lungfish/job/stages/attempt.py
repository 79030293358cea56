"""A step of a recipe is tried: trained, compared with what was there before, and kept or undone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import DivergedError
from lungfish.job.stages.budget import what_is_shorter
from lungfish.job.stages.judge import CLEAR, Judge, Verdict, copied, fall, or_chance
from lungfish.job.stages.stage import Setting, Step
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.history import Score
from lungfish.training.interpolation import Validated, averaged, move_to_best
from lungfish.training.loop import Fitted, Run
from lungfish.training.paired_gain import Gain
from lungfish.training.probe import Head, is_balanced
from lungfish.training.stage_settings import Tuning
from lungfish.training.validation import score

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

Logits = NDArray[np.float32]  # [n, classes], on validation photos


@dataclass(frozen=True)
class Rung:
    """What one step of a recipe brought about; a row of the job's `candidates`.

    Args:
        recipe: `probe`, `finetune` or `full`.
        val: loss and top-1 on validation photos; None if it was not tried.
        seconds: that it took; for the probe, since the job began.
        kept: whether the job went on from it.
        why: in words.
        settings: of the step, as the time allowed them.
        share: How far the weights moved from the head stage to the trained ones; 1 is all the way.
        gain: By how much the loss fell on the photos that decided; None if nothing was compared.
    """

    recipe: str
    val: Score | None
    seconds: float
    kept: bool
    why: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    share: float | None = None
    gain: Gain | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"gain": self.gain and self.gain.to_json()}


@dataclass(frozen=True, eq=False)
class Attempt:
    """What an attempt came to.

    Args:
        rung: For the job's `candidates`.
        logits: Of the network on validation photos, if it was trained.
        history: A JSON object for each epoch.
    """

    rung: Rung
    logits: Logits | None = None
    history: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where a trained network ended.

    Args:
        logits: On validation photos.
        share: Of the way from the head stage.
        is_last: Whether the way leads to the last epoch, not to the best one.
        verdict: Whether it is kept.
    """

    logits: Logits
    share: float
    is_last: bool
    verdict: Verdict


class Attempts:
    """Tries one step after the other on the same network.

    Args:
        network: Holds the head stage, or its random initialization.
        head: Fitted on the frozen trunk; None without pretrained weights.
        setting: What the steps share.
    """

    def __init__(self, network: Network, head: Head | None, setting: Setting) -> None:
        self._network, self._head, self._setting = network, head, setting
        self._head_stage = copied(network)
        self._val = setting.gathered.indices("val")
        self._few = head is not None and len(setting.gathered.indices("train")) < setting.recipe.few_photos
        self._judge = Judge(setting, few=self._few)
        self._ends: list[Mapping[str, Tensor]] = []  # of the runs whose weights may be averaged
        self._trial: Gain | None = None
        self._is_hopeless = False  # so few photos that training more is not worth the time, after less gained nothing

    def why_skip(self, step: Step[Any]) -> str:
        """Return why a step is not worth its time, in words; empty if it is."""
        if self._is_hopeless:
            return "with so few photos, training less did not gain clearly"
        return "the run before it was not kept" if step.is_again and not self._ends else ""

    def attempt(self, name: str, step: Step[Any], settings: Tuning, before: Logits | None) -> Attempt:
        """Train by one step; what is no better is undone.

        Args:
            name: Of the step.
            step: Holds the same network.
            settings: As the time allows them.
            before: The network's logits on validation photos; None if it knows nothing yet, and any result is kept.

        Raises:
            DivergedError: The loss is not finite, and there is nothing to fall back on.
        """
        began = time.monotonic()
        row = Rung(name, None, 0.0, kept=False, why="", settings=asdict(settings))
        run = self._run(name, step, settings)
        if self._few and not step.is_again:
            trial = self._trial = self._setting.group.agree(self._cross_fit(step, settings, run))
            if trial and not trial.is_clear(CLEAR):
                self._is_hopeless = True
                why = f"not kept: cross-validated, {fall(trial, 'training photo')}{or_chance(trial)}"
                return Attempt(replace(row, why=why, seconds=time.monotonic() - began, gain=trial))
        start = copied(self._network)
        if step.is_again:
            self._network.load_state_dict(self._head_stage)
        try:
            fitted = step.train(settings, run)
        except DivergedError as error:
            if before is None or self._setting.group.size > 1:  # the other processes may be elsewhere
                raise
            self._network.load_state_dict(start)  # what was reached before is not lost
            self._network.cpu().eval()
            row = replace(row, why=error.message, seconds=time.monotonic() - began)
            return Attempt(row, history=_rows(name, run.noted()))
        if before is None:
            outcome = Outcome(step.val_logits(), 1.0, is_last=False, verdict=Verdict(True, ""))
        else:
            outcome = self._setting.group.agree(self._judged(step, fitted, start, before))
        if not outcome.verdict.kept:
            self._network.load_state_dict(start)
            self._ends = []
        row = replace(
            row,
            val=score(outcome.logits, self._truth),
            seconds=time.monotonic() - began,
            kept=outcome.verdict.kept,
            why=_in_words(fitted, outcome) + what_is_shorter(settings, step.tuning, "; "),
            share=outcome.share,
            gain=outcome.verdict.gain,
        )
        return Attempt(row, outcome.logits, _rows(name, fitted.history))

    def _cross_fit(self, step: Step[Any], settings: Tuning, run: Run) -> Gain | None:
        return step.cross_fit(self._head, settings, run) if self._head else None

    def _judged(self, step: Step[Any], fitted: Fitted, start: Mapping[str, Tensor], before: Logits) -> Outcome:
        """Move the trained network to the best point on its way, and compare that with what was there before."""
        self._ends = [*(self._ends if step.is_again else ()), fitted.last]
        ends = [averaged(self._ends)] if step.is_again else [copied(self._network), fitted.last]
        photos = Validated(step.val_logits, self._truth, self._setting.gathered.sides.units[self._val])
        end, share, logits = move_to_best(self._network, self._head_stage, ends, photos)
        verdict = self._judge(self._network, start, (before, logits), self._trial if self._few else None)
        return Outcome(logits, share, is_last=end == 1 or step.is_again, verdict=verdict)

    @property
    def _truth(self) -> NDArray[np.int64]:
        truth: NDArray[np.int64] = self._setting.gathered.truth[self._val]
        return truth

    def _run(self, name: str, step: Step[Any], settings: Tuning) -> Run:
        setting = self._setting
        shortened = settings.changed_from(step.tuning)
        decided = {"shortened": json.dumps(shortened), "first_block": str(step.first_block(settings))}
        checkpoints = Checkpoints(setting.folder / name, {**setting.job, **decided})
        if setting.group.leads:
            checkpoints.begin()
        return Run(
            name=name,
            seed=setting.seed,
            class_weight=_class_weight(setting),
            group=setting.group,
            checkpoints=checkpoints,
            journal=setting.folder / f"{name}.jsonl",
            deadline=setting.deadline,
            progress=setting.progress,
        )


def _class_weight(setting: Setting) -> Tensor | None:
    """Each class's weight in the loss, 1 on average over the photos; None if every photo weighs the same."""
    import torch

    gathered = setting.gathered
    labels = gathered.truth[gathered.indices("train")]
    if not is_balanced(labels, setting.recipe):
        return None
    counts = np.bincount(labels)
    return torch.from_numpy((len(labels) / (len(counts) * counts)).astype(np.float32))


def _rows(name: str, history: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({"step": name} | dict(row) for row in history)


def _in_words(fitted: Fitted, outcome: Outcome) -> str:
    """Say what came of a run, for people."""
    ended = {"epochs": "", "patience": ", no better one for a while", "minutes": ", then time was up"}[fitted.stopped]
    kept = "kept" if outcome.verdict.kept else "not kept"
    if fitted.best_epoch is None:
        parts = [f"{kept}: the time was too short for an epoch"]
    else:
        epoch = len(fitted.history) if outcome.is_last else fitted.best_epoch + 1
        parts = [f"{kept}: epoch {epoch} of {len(fitted.history)}{ended}"]
    if outcome.share < 1:
        parts.append(f"its weights count {outcome.share:.0%}, those of the head stage the rest")
    return "; ".join([*parts, *([outcome.verdict.why] if outcome.verdict.why else [])])
