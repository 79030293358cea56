"""Run the stages of a job in order, as far as the time allows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lungfish.core.errors import UsageError
from lungfish.core.names import plural
from lungfish.evaluation.stage_result import StageResult
from lungfish.job.run_dir import begin_run
from lungfish.job.stages.attempt import Attempts
from lungfish.job.stages.budget import budget_of, describe, list_stages, plan_stages
from lungfish.job.stages.stage import Plan, Stage, TrainingContext
from lungfish.training.checkpoint import Checkpoints, read_job
from lungfish.training.probe import Head, fit_temperature
from lungfish.training.stage_settings import Tuning
from lungfish.training.validation import score
from lungfish.weights.load import from_network, to_network
from lungfish.weights.network_weights import NetworkWeights


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Result of all stages.

    Args:
        network: The trained network.
        temperature: Temperature fitted on validation photos.
        results: Result of each stage.
        history: JSON object of each epoch, with the name of its stage.
        first_block: First block that differs from the start; 0 if the stem does too; None if only the head does.
    """

    network: NetworkWeights
    temperature: float
    results: tuple[StageResult, ...]
    history: tuple[Mapping[str, Any], ...]
    first_block: int | None


def run_stages(start: NetworkWeights, head: Head | None, context: TrainingContext) -> TrainingResult:
    """Run the stages of the recipe that train by gradient descent. Only these need torch.

    Each stage starts from the best weights so far, and is undone if it does not improve on validation photos.

    Args:
        start: Network with the fitted head, or with random initial weights.
        head: Head of the probe; None without one.
        context: Training context.

    Raises:
        UnreadablePhotoError: A photo is no longer readable.
        UsageError: There is no time to train a network without weights.
        DivergedError: The loss is not finite.
        StorageError: Activations or a checkpoint cannot be written.
        StoppedError: The caller asked the job to stop.
    """
    dataset = context.dataset
    truth = dataset.truth[dataset.indices("val")]
    reached, first_block = None, None
    results: list[StageResult] = []
    history: list[dict[str, Any]] = []
    if head:
        reached = head.logits(dataset.samples(dataset.indices("val")).features)
        seconds = time.monotonic() - context.began
        val = score(reached, truth)
        results.append(StageResult("probe", val, seconds, kept=True, why="a head on the frozen trunk"))
        right = f"{100 * val.top1:.1f} % of {plural(len(truth), 'validation photo')} right"
        context.progress.say(f"probe: {right}, with a head on the frozen trunk")
    if not context.recipe.tables:
        assert reached is not None
        return TrainingResult(start, fit_temperature(reached, truth), tuple(results), (), None)
    network = to_network(start)
    stages = list_stages(network, context)
    _begin(stages, context)
    attempts, first = Attempts(network, head, context), None
    for name, stage in stages.items():
        context.progress.stop.check()
        if why := attempts.why_skip(stage):
            context.progress.say(f"{name}: skipped: {why}")
            results.append(StageResult(name, None, 0.0, kept=False, why=f"skipped: {why}"))
            continue
        plan, why = _plan(name, stage, first, context)
        context.progress.say(why)
        first = first if stage.is_again else plan
        if plan.settings is None and reached is None:
            raise UsageError(why, "Raise --minutes, or choose a smaller network or resolution.")
        if plan.settings is None:
            results.append(StageResult(name, None, 0.0, kept=False, why=why.removeprefix(f"{name}: ")))
            if stage.is_again:
                continue
            break  # later stages take longer
        attempt = attempts.attempt(name, stage, plan, reached)
        results.append(attempt.result)
        history += attempt.history
        context.progress.say(f"{name}: {attempt.result.why}")
        if attempt.result.kept:
            reached = attempt.logits
            first_block = plan.first_block if first_block is None else min(first_block, plan.first_block)
    assert reached is not None
    trained = from_network(network)
    return TrainingResult(trained, fit_temperature(reached, truth), tuple(results), tuple(history), first_block)


def _begin(stages: Mapping[str, Stage[Any]], context: TrainingContext) -> None:
    """Show the plan, and record that the run has begun, unless it is resumed."""
    if not stages:
        return
    budget = budget_of(context.deadline - time.monotonic())
    lines, _ = plan_stages(stages, budget, context.recipe.minutes)  # in every process, as each measures its speed
    if context.group.is_main and not context.folder.exists():
        context.progress.say(
            "\n".join(["Planned; each stage is kept only if it improves on validation photos:", *lines])
        )
        begin_run(context.folder, context.job)


def _plan(name: str, stage: Stage[Any], first: Plan[Any] | None, context: TrainingContext) -> tuple[Plan[Any], str]:
    """Return a plan for the time left, or that of the resumed run, and a description of it.

    The main process decides.
    """
    plan, why = Plan(stage.settings, None, 0.0, 0.0, 0), ""
    if context.group.is_main:
        begun = read_job(context.folder / name)
        if begun and "skipped" in begun:
            why = begun["skipped"]
        elif begun:
            asked: Tuning = stage.settings
            if stage.is_again and first and first.settings:
                asked = first.settings
            settings = replace(asked, **json.loads(begun.get("shortened", "{}")))
            plan, why = Plan(asked, settings, 0.0, 0.0, int(begun["first_block"])), f"{name}: resuming"
        else:
            left_s = context.deadline - time.monotonic()
            plan = stage.estimate(budget_of(left_s), first)
            why = describe(name, plan, left_s, context.recipe.minutes)
            if plan.settings is None and context.recipe.pretrained:  # else there is nothing to resume
                Checkpoints(context.folder / name, {**context.job, "skipped": why}).begin()
    decision: tuple[Plan[Any], str] = context.group.broadcast((plan, why))
    return decision
