"""From the probe upwards: each step of the recipe, as far as the time reaches and validation improves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import DivergedError, UsageError
from lungfish.core.names import plural
from lungfish.training.checkpoint import Checkpoints, read_job
from lungfish.training.loop import Fitted, Run
from lungfish.training.probe import Head, fit_temperature, is_balanced
from lungfish.training.state import Score
from lungfish.training.tuning import Tuning
from lungfish.training.validation import losses, score
from lungfish.workflows.plan import fit_to_time, open_steps, plan_steps, what_is_shorter
from lungfish.workflows.run_folder import begin_run
from lungfish.workflows.step import Setting, Step

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

CLEAR = 2.0  # standard errors by which a gain on few photos must exceed nothing


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
    """

    recipe: str
    val: Score | None
    seconds: float
    kept: bool
    why: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Learned:
    """What came of all steps; the network holds the weights.

    Args:
        temperature: fitted on validation photos.
        rungs: a row for each step.
        history: a JSON object for each epoch, with the name of its step.
        first_block: the first that differs from the start, 0 with the stem; None if only the head does.
    """

    temperature: float
    rungs: tuple[Rung, ...]
    history: tuple[Mapping[str, Any], ...]
    first_block: int | None


def climb(network: Network, head: Head | None, setting: Setting) -> Learned:
    """Train the network in place by the steps of the recipe.

    A step that is not better on validation photos is undone, and is the last one.

    Args:
        network: with the head of the probe; or at its random initialization.
        head: what the probe has fitted, and the network holds; None without a probe.
        setting: what the steps share.

    Raises:
        UnreadablePhotoError: a photo that could be read before cannot be now.
        UsageError: no time for a network without weights.
        DivergedError: the loss is not finite.
        StorageError: activations or a checkpoint cannot be written.
    """
    gathered = setting.gathered
    truth = gathered.truth[gathered.indices("val")]
    logits, first_block = None, None
    rungs: list[Rung] = []
    history: list[dict[str, Any]] = []
    if head:
        logits = head.logits(gathered.samples(gathered.indices("val")).features)
        seconds = time.monotonic() - setting.began
        rungs.append(Rung("probe", score(logits, truth), seconds, kept=True, why="a head on the frozen trunk"))
    steps = open_steps(network, setting)
    told, _ = plan_steps(setting.recipe, steps, setting.deadline - time.monotonic())
    if steps and setting.group.leads and not setting.folder.exists():
        setting.progress.say("\n".join(["Planned, as far as validation improves:", *told]))
        begin_run(setting.folder, setting.job)
    for name, step in steps.items():
        settings, why = _settings(name, step, setting)
        setting.progress.say(why)
        if settings is None and logits is None:
            raise UsageError(why, "Give it more --minutes, or a smaller network or resolution.")
        if settings is None:
            rungs.append(Rung(name, None, 0.0, kept=False, why=why))
            break
        block = step.first_block(settings)
        run = _run(name, settings, block, setting)
        rung, reached, rows = _take(name, step, settings, run, (network, logits), setting)
        rungs.append(rung)
        setting.progress.say(f"{name}: {rung.why}")
        history += rows
        if not rung.kept:
            break
        logits = reached
        first_block = block if first_block is None else min(first_block, block)
    assert logits is not None
    return Learned(fit_temperature(logits, truth), tuple(rungs), tuple(history), first_block)


def _take(
    name: str,
    step: Step[Any],
    settings: Tuning,
    run: Run,
    start: tuple[Network, NDArray[np.float32] | None],
    setting: Setting,
) -> tuple[Rung, NDArray[np.float32] | None, list[dict[str, Any]]]:
    """Train by one step; what is no better is undone.

    Returns:
        What came of it, the network's logits on validation photos, and a row for each epoch.
    """
    gathered, recipe, (network, logits) = setting.gathered, setting.recipe, start
    truth = gathered.truth[gathered.indices("val")]
    began = time.monotonic()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    try:
        fitted = step.train(settings, run)
    except DivergedError as error:
        if logits is None or setting.group.size > 1:  # the other processes may be elsewhere
            raise
        network.load_state_dict(before)  # what was reached before is not lost
        network.cpu().eval()
        rung = Rung(name, None, time.monotonic() - began, kept=False, why=error.message)
        return rung, None, _rows(name, run.noted())
    reached = step.val_logits()
    few = len(gathered.indices("train")) < recipe.few_photos
    kept, why = setting.group.agree(_verdict(fitted, logits, reached, truth, few=few))
    if not kept:
        network.load_state_dict(before)
    why += what_is_shorter(settings, recipe.tables[name], "; ")
    rung = Rung(name, score(reached, truth), time.monotonic() - began, kept, why, asdict(settings))
    return rung, reached, _rows(name, fitted.history)


def _rows(name: str, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"step": name} | dict(row) for row in history]


def _settings(name: str, step: Step[Any], setting: Setting) -> tuple[Tuning | None, str]:
    """The settings that fit the time, or those of the run that goes on; why, in words. The first process decides."""
    chosen: Tuning | None = None
    why = ""
    if setting.group.leads:
        tuning = setting.recipe.tables[name]
        begun = read_job(setting.folder / name)
        if begun and "skipped" in begun:
            why = begun["skipped"]
        elif begun:
            chosen, why = replace(tuning, **json.loads(begun.get("shortened", "{}"))), f"{name}: resuming"
        else:
            chosen, why, _ = fit_to_time(name, tuning, step, setting.deadline - time.monotonic())
            if chosen is None and setting.recipe.pretrained:  # without, there is nothing to go on with
                Checkpoints(setting.folder / name, {**setting.job, "skipped": why}).begin()
    agreed: tuple[Tuning | None, str] = setting.group.agree((chosen, why))
    return agreed


def _run(name: str, settings: Tuning, first_block: int, setting: Setting) -> Run:
    shortened = settings.changed_from(setting.recipe.tables[name])
    decided = {"shortened": json.dumps(shortened), "first_block": str(first_block)}
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


def _verdict(
    fitted: Fitted,
    before: NDArray[np.float32] | None,
    after: NDArray[np.float32],
    truth: NDArray[np.int64],
    *,
    few: bool,
) -> tuple[bool, str]:
    """Whether the step counts, and why; with few photos, only if the gain is clear."""
    ended = {"epochs": "all epochs done", "patience": "no better epoch for a while", "minutes": "time was up"}
    if fitted.best_epoch is None:
        return before is None, f"no epoch was better on validation than the start; {ended[fitted.stopped]}"
    if few and before is not None:
        gains = losses(before, truth) - losses(after, truth)
        error = float(gains.std(ddof=1) / math.sqrt(len(gains))) if len(gains) > 1 else math.inf
        if gains.mean() < CLEAR * error:
            return False, (
                f"a gain of {gains.mean():.3f} in loss on {plural(len(gains), 'validation photo')} may be chance: its "
                f"standard error is {error:.3f}"
            )
    return True, f"epoch {fitted.best_epoch + 1} of {len(fitted.history)} is the best; {ended[fitted.stopped]}"


def _class_weight(setting: Setting) -> Tensor | None:
    """Each class's weight in the loss, 1 on average over the photos; None if every photo weighs the same."""
    import torch

    gathered = setting.gathered
    labels = gathered.truth[gathered.indices("train")]
    if not is_balanced(labels, setting.recipe):
        return None
    counts = np.bincount(labels)
    return torch.from_numpy((len(labels) / (len(counts) * counts)).astype(np.float32))
