"""Show what a job would do without doing it: classes, counts, problems, and the estimated time on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from lungfish.core.cache import cache_limit
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.core.space import nothing_deleted
from lungfish.data.photos import SkippedFile
from lungfish.data.scan.features import open_features
from lungfish.data.split.problem_list import list_problems
from lungfish.data.split.problems import Problem
from lungfish.data.split.review import PhotoPair
from lungfish.evaluation.rejection import LEAST_ANSWERS
from lungfish.evaluation.wording import sentence
from lungfish.job.dataset import Dataset
from lungfish.job.prepare import Prepared, choose, prepare
from lungfish.job.run_dir import run_folder
from lungfish.job.spec import Job
from lungfish.job.stages.budget import budget_of, list_stages, plan_stages
from lungfish.job.stages.speed import measure_speed
from lungfish.job.stages.stage import TrainingContext
from lungfish.training.group import single_process
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.load import to_network
from lungfish.weights.network_weights import NetworkWeights

SKIPPED_SHOWN = 20
LEAST_TIMED = 500  # training photos; with fewer, timing a step takes longer than it is worth


@dataclass(frozen=True)
class JobPlan:
    """What a job would do.

    Args:
        bundle: Folder that it would write.
        arch, weights, recipe: Names of the ones that it would use.
        classes: Number of photos of each class in each split.
        counts: Number of photos in each split.
        skipped: Files that would be skipped.
        leaks: Copies of one photo in different splits.
        warnings: Messages for the user.
        problems: Everything wrong with the photos, starting with what would stop the job; includes `warnings`.
        cached: Number of photos whose features are cached from an earlier run; None if the job would stop first.
        steps: Stages after the head with their estimated times, in words; preceded, if they apply, by notes on missing
            PyTorch, on weights to download, and on a head fitted on a sample of the training photos.
        estimate_seconds: Estimated time of the job on this machine; with few training photos, without the stages after
            the head; None if the job would stop.
    """

    bundle: str
    arch: str
    weights: str
    recipe: str
    classes: dict[str, dict[str, int]]
    counts: dict[str, int]
    skipped: tuple[SkippedFile, ...]
    leaks: tuple[PhotoPair, ...]
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...]
    cached: int | None
    steps: tuple[str, ...]
    estimate_seconds: float | None

    @property
    def stops(self) -> bool:
        """Whether the job would end before training."""
        return any(problem.stops for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        return {"dry_run": True} | asdict(self)

    def __str__(self) -> str:
        width = max(len(printable(label)) for label in self.classes)
        lines = [f"{'class'.ljust(width)}  {'train':>7}  {'val':>7}  {'test':>7}"]
        lines += [
            f"{printable(label).ljust(width)}  {counts['train']:7,}  {counts['val']:7,}  {counts['test']:7,}"
            for label, counts in self.classes.items()
        ]
        lines += [f"skipped: {printable(each.file)}: {each.reason}" for each in self.skipped[:SKIPPED_SHOWN]]
        if len(self.skipped) > SKIPPED_SHOWN:
            lines.append(f"skipped: {len(self.skipped) - SKIPPED_SHOWN:,} more; --json lists all")
        lines += ["", *_problem_table(self.problems), ""]
        total = sum(self.counts.values())
        lines += [
            f"{plural(total, 'photo')}, {plural(len(self.classes), 'class', 'classes')}",
            f"{self.arch} with {self.weights}, recipe {self.recipe}",
            *self.steps,
        ]
        if self.estimate_seconds is None:
            lines.append("The job would stop here; nothing would be trained.")
        else:
            lines.append(f"takes about {max(self.estimate_seconds, 1):.0f} s on this machine")
            lines.append(f"writes {printable(self.bundle)}")
        return "\n".join(lines)


def _problem_table(problems: Sequence[Problem]) -> list[str]:
    """List the problems, each kind followed by what to do about it. A class with too few photos is named once."""
    if not problems:
        return ["No problems found."]
    too_small = {label for each in problems if each.kind == "too_few" for label in each.classes}
    shown = [each for each in problems if each.kind != "typo" or each.classes[0] not in too_small]
    lines = ["problems"]
    for (rule, fix), same in groupby(shown, key=lambda problem: (problem.rule, problem.fix)):
        lines += [f"  {'STOPS  ' if each.stops else 'warning'}  {printable(each.message)}" for each in same]
        lines += [f"           {text}" for text in (sentence(rule), fix) if text]
    return lines


def plan_job(job: Job, progress: Progress) -> JobPlan:
    """Examine the photos of a job and plan what it would do.

    Raises what `train` would raise before training, except for problems with the photos, which the plan lists.
    """
    with nothing_deleted(), cache_limit(job.cache_gb):
        return _plan(job, progress)


def _plan(job: Job, progress: Progress) -> JobPlan:
    choices = choose(job)
    prepared = prepare(job, choices, progress, dry=True)
    dataset = prepared.dataset
    plan = JobPlan(
        bundle=str(choices.target.folder),
        arch=prepared.start.arch.name,
        weights=prepared.start.entry.name,
        recipe=prepared.recipe.name,
        classes=dataset.counts_by_class(),
        counts=dataset.counts(),
        skipped=dataset.examined.skipped,
        leaks=dataset.assignment.leaks,
        warnings=dataset.warnings,
        problems=_problems(dataset),
        cached=None,
        steps=(),
        estimate_seconds=None,
    )
    if plan.stops:
        return plan
    timed = _timed(plan, job, prepared, progress)
    return replace(timed, steps=(*filter(None, (choices.advice,)), *timed.steps))


def _timed(plan: JobPlan, job: Job, prepared: Prepared, progress: Progress) -> JobPlan:
    """Return the plan with the estimated time of the job.

    Args:
        plan: Plan without times.
        job: Job to plan.
        prepared: Prepared job whose photos do not stop it; its network gets a classifier for their classes.
        progress: Receives progress events.
    """
    start, recipe, dataset = prepared.start, prepared.recipe, prepared.dataset
    stored = open_features(prepared.trunk, start.preprocess)
    records = dataset.examined.records
    cached = sum(stored.get(records[i].seen.sha256) is not None for i in dataset.embedded)
    speed = measure_speed(dataset, start, prepared.network, prepared.trunk)
    new = len(dataset.embedded) - cached if recipe.pretrained else 0
    head_s = speed.scan_s(new) + speed.finish_s(dataset, recipe)
    before = [_download(start.entry)] if prepared.weights is None else []
    if recipe.pretrained and (sampled := dataset.sampled()):
        before.append(sampled)
    context = TrainingContext(
        dataset=dataset,
        recipe=recipe,
        entry=start.entry,
        preprocess=start.preprocess,
        seed=job.seed,
        folder=run_folder(Path(plan.bundle), {}),
        job={},
        began=time.monotonic(),
        deadline=math.inf,
        speed=speed,
        group=single_process(),
        progress=progress,
    )
    steps, steps_s = _plan_stages(prepared.with_head(None), context, 60 * (recipe.minutes or math.inf) - head_s)
    return replace(plan, cached=cached, steps=(*before, *steps), estimate_seconds=round(head_s + steps_s, 1))


def _download(entry: WeightsEntry) -> str:
    size = f" ({entry.bytes / 1e6:.1f} MB)" if entry.bytes else ""
    return f"{printable(entry.name)}{size} would be downloaded first; the estimate does not include that"


def _plan_stages(network: NetworkWeights, context: TrainingContext, left_s: float) -> tuple[tuple[str, ...], float]:
    """Return the stages after the head, in words, and their seconds; with few photos they are not timed."""
    recipe = context.recipe
    few = recipe.pretrained and len(context.dataset.indices("train")) < LEAST_TIMED
    if few and recipe.tables:
        names = ", ".join(recipe.tables)
        minutes = f"; the job is limited to about {recipe.minutes:g} min" if recipe.minutes else ""
        return (f"The estimate leaves out {names} (fewer than {LEAST_TIMED} training photos){minutes}",), 0.0
    return plan_stages(list_stages(to_network(network), context), budget_of(left_s), recipe.minutes)


def _problems(dataset: Dataset) -> tuple[Problem, ...]:
    found = list_problems(dataset.photos, dataset.examined, dataset.assignment, dataset.warnings)
    count = len(dataset.truth)
    if count >= LEAST_ANSWERS:
        return found
    message = f"too few photos for a “none of these” threshold: {count:,}; at least {LEAST_ANSWERS} are needed"
    fix = "Without a threshold, every answer counts as known."
    return (*found, Problem("no_threshold", message, fix=fix))
