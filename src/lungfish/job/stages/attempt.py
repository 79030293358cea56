"""Try a stage of a recipe: train, compare with the state before, and keep or undo it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import DivergedError
from lungfish.core.names import plural
from lungfish.evaluation.stage_result import Gain, StageResult
from lungfish.evaluation.wording import sentence
from lungfish.job.stages.budget import what_is_shorter
from lungfish.job.stages.judge import CLEAR, Judge, Verdict, copied, too_small
from lungfish.job.stages.stage import OpenStage, Plan, Stage, TrainingContext
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.interpolation import Validated, averaged, move_to_best
from lungfish.training.loop import FitResult, Run
from lungfish.training.probe import Head, is_balanced
from lungfish.training.validation import score

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

Logits = NDArray[np.float32]  # [n, classes], on validation photos


@dataclass(frozen=True, eq=False)
class Attempt:
    """Result of an attempt.

    Args:
        result: Entry for the job's `candidates`.
        logits: Logits on validation photos, if the network was trained.
        history: JSON object of each epoch.
    """

    result: StageResult
    logits: Logits | None = None
    history: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """The weights chosen after training, and whether they are kept.

    Args:
        logits: Logits on validation photos.
        share: Share of the way from the head stage's weights to the trained ones; 1 for the trained ones.
        is_last: Whether the trained weights are those of the last epoch (averaged if there are several runs), not
            those of the best epoch.
        verdict: Whether the stage is kept.
    """

    logits: Logits
    share: float
    is_last: bool
    verdict: Verdict


class Attempts:
    """Tries one stage after another on the same network.

    Args:
        network: Network after the head stage, or with random initial weights.
        head: Head fitted on the frozen trunk; None without pretrained weights.
        context: Training context.
    """

    def __init__(self, network: Network, head: Head | None, context: TrainingContext) -> None:
        self._network, self._head, self._context = network, head, context
        self._head_stage = copied(network)
        self._val = context.dataset.indices("val")
        self._few = head is not None and len(context.dataset.indices("train")) < context.recipe.few_photos
        self._judge = Judge(context, few=self._few)
        self._ends: list[Mapping[str, Tensor]] = []  # last tensors of the runs that may be averaged
        self._trial: Gain | None = None
        self._rival = "the head"  # what the next stage is compared with
        self._is_hopeless = False  # with few photos, a stage that trains less gained nothing

    def why_skip(self, stage: Stage[Any]) -> str:
        """Return why a stage is not worth its time; empty if it is."""
        if self._is_hopeless:
            return "with so few photos it is unlikely to help: the stage before it, which trains less, did not"
        return "the run before it was not kept" if stage.is_again and not self._ends else ""

    def attempt(self, name: str, stage: Stage[Any], plan: Plan[Any], before: Logits | None) -> Attempt:
        """Run one stage, and undo it if it does not improve the result.

        Args:
            name: Name of the stage.
            stage: Stage with the same network.
            plan: Plan of the stage, with settings.
            before: Logits on validation photos before the stage; None for an untrained network: any result is kept.

        Raises:
            DivergedError: The loss is not finite, and there is no earlier result to keep.
        """
        began = time.monotonic()
        assert plan.settings
        row = StageResult(name, None, 0.0, kept=False, why="", settings=asdict(plan.settings))
        run, opened = self._run(name, plan, before), stage.open(plan)
        if self._few and not stage.is_again:
            trial = self._trial = self._context.group.broadcast(self._cross_fit(opened, run))
            if trial and not trial.is_clear(CLEAR):
                self._is_hopeless = True
                photos = f"{plural(trial.photos, 'training photo')}, cross-validated"
                why = too_small(photos) if trial.mean > 0 else f"it did not beat {self._rival} on {photos}"
                why = f"not kept. {sentence(why)}"
                return Attempt(replace(row, why=why, seconds=time.monotonic() - began, gain=trial))
        start = copied(self._network)
        if stage.is_again:
            self._network.load_state_dict(self._head_stage)
        try:
            fitted = opened.train(run)
        except DivergedError as error:
            if before is None or self._context.group.size > 1:  # other processes may not have diverged
                raise
            self._network.load_state_dict(start)  # keep the result so far
            self._network.cpu().eval()
            row = replace(row, why=f"not kept. {sentence(error.message)}", seconds=time.monotonic() - began)
            return Attempt(row, history=_rows(name, run.noted()))
        self._ends = [*(self._ends if stage.is_again else ()), fitted.last]
        if before is None:
            outcome = Outcome(opened.val_logits(), 1.0, is_last=False, verdict=Verdict(True, ""))
        else:
            outcome = self._context.group.broadcast(self._judged(opened, start, before))
        if outcome.verdict.kept:
            self._rival = name
        else:
            self._network.load_state_dict(start)
            self._ends = []
        row = replace(
            row,
            val=score(outcome.logits, self._truth),
            seconds=time.monotonic() - began,
            kept=outcome.verdict.kept,
            why=_in_words(fitted, outcome, plan),
            share=outcome.share,
            gain=outcome.verdict.gain,
        )
        return Attempt(row, outcome.logits, _rows(name, fitted.history))

    def _cross_fit(self, opened: OpenStage, run: Run) -> Gain | None:
        return opened.cross_fit(self._head, run) if self._head else None

    def _judged(self, opened: OpenStage, start: Mapping[str, Tensor], before: Logits) -> Outcome:
        """Choose the best weights between the head stage and the trained network, and compare with the state before."""
        ends = [averaged(self._ends)] if len(self._ends) > 1 else [copied(self._network), self._ends[0]]
        photos = Validated(opened.val_logits, self._truth, self._context.dataset.assignment.units[self._val])
        end, share, logits = move_to_best(self._network, self._head_stage, ends, photos)
        trial = self._trial if self._few else None
        verdict = self._judge(self._network, start, (before, logits), trial, self._rival)
        return Outcome(logits, share, is_last=end == len(ends) - 1, verdict=verdict)

    @property
    def _truth(self) -> NDArray[np.int64]:
        truth: NDArray[np.int64] = self._context.dataset.truth[self._val]
        return truth

    def _run(self, name: str, plan: Plan[Any], before: Logits | None) -> Run:
        context = self._context
        decided = {"shortened": json.dumps(plan.changed()), "first_block": str(plan.first_block)}
        checkpoints = Checkpoints(context.folder / name, {**context.job, **decided})
        if context.group.is_main:
            checkpoints.begin()
        return Run(
            name=name,
            seed=context.seed,
            class_weight=_class_weight(context),
            group=context.group,
            checkpoints=checkpoints,
            journal=context.folder / f"{name}.jsonl",
            deadline=context.deadline,
            progress=context.progress,
            val_top1_before=None if before is None else score(before, self._truth).top1,
        )


def _class_weight(context: TrainingContext) -> Tensor | None:
    """Return the weight of each class in the loss, 1 on average over the photos; None for equal weights."""
    import torch

    dataset = context.dataset
    labels = dataset.truth[dataset.indices("train")]
    if not is_balanced(labels, context.recipe):
        return None
    counts = np.bincount(labels)
    return torch.from_numpy((len(labels) / (len(counts) * counts)).astype(np.float32))


def _rows(name: str, history: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({"stage": name} | dict(row) for row in history)


def _in_words(fitted: FitResult, outcome: Outcome, plan: Plan[Any]) -> str:
    """Return the outcome of a run in words."""
    kept, shorter = outcome.verdict.kept, sentence(what_is_shorter(plan, ""))
    if fitted.best_epoch is None:
        return " ".join(filter(None, ["kept." if kept else "not kept.", "There was no time for an epoch.", shorter]))
    assert plan.settings
    run, planned = len(fitted.history), plan.settings.epochs
    if kept:
        early = {
            "epochs": "",
            "patience": f" (stopped early after {run})",
            "minutes": f" (time ran out after {run})",
        }
        best = run if outcome.is_last else fitted.best_epoch + 1
        text = f"kept. Epoch {best} of {planned} was the best{early[fitted.stopped]}"
    else:
        count = plural(run, "epoch") if run == planned else f"{run} of {plural(planned, 'epoch')}"
        text = f"not kept. {count} run{' before time ran out' if fitted.stopped == 'minutes' else ''}"
    parts = [f"{text}; {outcome.verdict.why}." if outcome.verdict.why else f"{text}."]
    if kept and outcome.share < 1:
        parts.append(f"Its weights are averaged with the head's, {outcome.share:.0%} to {1 - outcome.share:.0%}.")
    return " ".join(filter(None, [*parts, shorter]))
