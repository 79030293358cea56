"""From the probe upwards: each step of the recipe, as far as the time reaches and validation improves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lungfish.core.errors import UsageError
from lungfish.job.run_dir import begin_run
from lungfish.job.stages.attempt import Attempts, Rung
from lungfish.job.stages.budget import fit_to_time, open_steps, plan_steps
from lungfish.job.stages.stage import Setting, Step
from lungfish.training.checkpoint import Checkpoints, read_job
from lungfish.training.probe import Head, fit_temperature
from lungfish.training.stage_settings import Tuning
from lungfish.training.validation import score

if TYPE_CHECKING:
    from lungfish.nn import Network


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

    Each step starts from the best weights so far; what is no better on validation photos is undone.

    Args:
        network: with the head of the probe; or at its random initialization.
        head: what the probe has fitted, and the network holds; None without a probe.
        setting: what the steps share.

    Raises:
        UnreadablePhotoError: a photo that could be read before cannot be now.
        UsageError: no time for a network without weights.
        DivergedError: the loss is not finite.
        StorageError: activations or a checkpoint cannot be written.
        StoppedError: the caller asked for it.
    """
    gathered = setting.gathered
    truth = gathered.truth[gathered.indices("val")]
    reached, first_block = None, None
    rungs: list[Rung] = []
    history: list[dict[str, Any]] = []
    if head:
        reached = head.logits(gathered.samples(gathered.indices("val")).features)
        seconds = time.monotonic() - setting.began
        rungs.append(Rung("probe", score(reached, truth), seconds, kept=True, why="a head on the frozen trunk"))
    steps = open_steps(network, setting)
    told, _ = plan_steps(setting.recipe, steps, setting.deadline - time.monotonic())
    if steps and setting.group.leads and not setting.folder.exists():
        setting.progress.say("\n".join(["Planned, as far as validation improves:", *told]))
        begin_run(setting.folder, setting.job)
    attempts = Attempts(network, head, setting)
    for name, step in steps.items():
        setting.progress.stop.check()
        if why := attempts.why_skip(step):
            setting.progress.say(f"{name}: skipped: {why}")
            rungs.append(Rung(name, None, 0.0, kept=False, why=f"skipped: {why}"))
            continue
        settings, why = _settings(name, step, setting)
        setting.progress.say(why)
        if settings is None and reached is None:
            raise UsageError(why, "Give it more --minutes, or a smaller network or resolution.")
        if settings is None:
            rungs.append(Rung(name, None, 0.0, kept=False, why=why.removeprefix(f"{name}: ")))
            if step.is_again:
                continue
            break  # what follows takes longer
        block = step.first_block(settings)
        attempt = attempts.attempt(name, step, settings, reached)
        rungs.append(attempt.rung)
        history += attempt.history
        setting.progress.say(f"{name}: {attempt.rung.why}")
        if attempt.rung.kept:
            reached = attempt.logits
            first_block = block if first_block is None else min(first_block, block)
    assert reached is not None
    return Learned(fit_temperature(reached, truth), tuple(rungs), tuple(history), first_block)


def _settings(name: str, step: Step[Any], setting: Setting) -> tuple[Tuning | None, str]:
    """The settings that fit the time, or those of the run that goes on; why, in words. The first process decides."""
    chosen: Tuning | None = None
    why = ""
    if setting.group.leads:
        begun = read_job(setting.folder / name)
        if begun and "skipped" in begun:
            why = begun["skipped"]
        elif begun:
            chosen, why = replace(step.tuning, **json.loads(begun.get("shortened", "{}"))), f"{name}: resuming"
        else:
            chosen, why, _ = fit_to_time(name, setting.recipe.minutes, step, setting.deadline - time.monotonic())
            if chosen is None and setting.recipe.pretrained:  # without, there is nothing to go on with
                Checkpoints(setting.folder / name, {**setting.job, "skipped": why}).begin()
    agreed: tuple[Tuning | None, str] = setting.group.agree((chosen, why))
    return agreed
