"""A training job, read from top to bottom: photos in, proven bundle out."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path

from lungfish.core.cache import advice_on_cache, cache_limit
from lungfish.core.errors import UsageError
from lungfish.core.progress import Progress
from lungfish.job.bundle.finish import Trained, finish
from lungfish.job.bundle.write import Made
from lungfish.job.dataset import Gathered
from lungfish.job.prepare import choose, prepare
from lungfish.job.replace_bundle import staged_bundle
from lungfish.job.run_dir import check_resumable, end_run, identify, only_run, run_folder
from lungfish.job.spec import Job, TrainResult
from lungfish.job.stages.head import HeadStage, fit_head
from lungfish.job.stages.previous_weights import better_start, last_weights
from lungfish.job.stages.run import run_stages
from lungfish.job.stages.speed import Pace, measure_pace
from lungfish.job.stages.stage import TrainingContext
from lungfish.job.stopwatch import Stopwatch
from lungfish.job.target import Target
from lungfish.runtime.manifest import Manifest
from lungfish.runtime.measure import peak_rss_bytes
from lungfish.training.group import Group, advice_on_restarts, first_leads, join_group
from lungfish.training.recipe import Recipe


def run_job(job: Job, progress: Progress) -> TrainResult:
    """Run a job. Under `torchrun` every process gets the result; the first one writes and speaks.

    Raises: As `lungfish.train`.
    """
    with cache_limit(job.cache_gb):
        return _run(job, progress)


def _run(job: Job, progress: Progress) -> TrainResult:
    clock, began = Stopwatch(), time.monotonic()
    choices = choose(job)
    recipe, target = choices.recipe, choices.target

    with join_group() as group, only_run(target.folder) if group.leads and recipe.tables else nullcontext():
        progress = progress if group.leads else progress.muted()
        _check_group(group, recipe)
        if line := target.to_say():
            progress.say(line)
        for advice in filter(None, (advice_on_cache(), advice_on_restarts())):
            progress.warn(advice)
        with clock.step("photos_and_features"), first_leads(group):
            prepared = prepare(job, choices, progress)
        recipe, gathered = prepared.recipe, prepared.gathered
        _check_same(gathered, group)

        last = last_weights(gathered, prepared.start, job, recipe, progress)
        identity = identify(gathered, recipe, (prepared.start, last), job.seed, group.device)
        folder = run_folder(target.folder, identity)
        if job.resume and group.leads and not folder.exists():
            check_resumable(target.folder, identity)
            progress.say("Nothing to resume: the job begins anew")

        with clock.step("head"):
            head, folds = fit_head(gathered, recipe, job.seed, progress)
            stage = prepared.head_stage(head)
            better = better_start(last, stage, recipe, progress) if last else None
            if better and group.agree(True):
                stage, folds = better, None  # its trunk has seen the photos of every fold
        context = _context(job, stage, recipe, (folder, identity, began), group, progress)
        with clock.step("training"):
            learned = run_stages(stage.network, stage.head, context)

        result = None
        if group.leads:
            trained = Trained(job.seed, recipe, stage, head, folds, learned, gathered)
            with staged_bundle(target.folder, target.replaced, progress) as files:
                made, manifest = finish(trained, files, target, clock, progress)
                progress.stop.check()  # for the last time: then the bundle stands
            result = _result(target, manifest, made, clock)
            if recipe.tables:
                end_run(folder)
        shared: TrainResult = group.agree(result)
        return shared


def _context(
    job: Job,
    stage: HeadStage,
    recipe: Recipe,
    run: tuple[Path, dict[str, str], float],
    group: Group,
    progress: Progress,
) -> TrainingContext:
    gathered, (folder, identity, began) = stage.gathered, run
    pace = measure_pace(gathered, stage.start, stage.network, stage.trunk) if recipe.tables else Pace()
    return TrainingContext(
        gathered=gathered,
        recipe=recipe,
        entry=stage.start.entry,
        preprocess=stage.start.preprocess,
        seed=job.seed,
        folder=folder,
        job=identity,
        began=began,
        deadline=began + 60 * (recipe.minutes or math.inf) - pace.finish_s(gathered, recipe),
        pace=pace,
        group=group,
        progress=progress,
    )


def _check_group(group: Group, recipe: Recipe) -> None:
    learns = any(step.batch_norm == "batch" for step in recipe.tables.values())
    if learns and group.size > 1 and group.device == "cpu":
        raise UsageError(
            "several processes on CPUs cannot learn batch norm's statistics together: torch has no such layer",
            "Run one process, or set batch_norm to frozen in a recipe for pretrained weights.",
        )


def _check_same(gathered: Gathered, group: Group) -> None:
    fingerprint = gathered.ordered_fingerprint()
    if group.agree(fingerprint) != fingerprint:
        raise UsageError(
            "this process sees other photos than the first one, or under other names",
            "Give every machine the same photos.",
        )


def _result(target: Target, manifest: Manifest, made: Made, clock: Stopwatch) -> TrainResult:
    entry, network, beside = made.classifier.entry, made.classifier.network, made.beside
    return TrainResult(
        bundle=str(target.folder),
        previous=str(target.previous) if target.previous else None,
        split_from=made.gathered.previous.name if made.gathered.previous else None,
        arch=network.arch.name,
        weights=entry.name,
        recipe=made.recipe.name,
        classes=manifest.labels,
        counts=made.gathered.counts(),
        test=manifest.test,
        notes=beside.notes(manifest.test["n"]),
        val=manifest.val,
        artifacts=tuple(row.to_json() for row in manifest.artifacts),
        default=manifest.default,
        seconds=clock.seconds(),
        skipped=made.gathered.examined.skipped,
        warnings=(*made.warnings, *filter(None, [beside.no_threshold()])),
        what_changed=made.what_changed.to_json() if made.what_changed else None,
        leaks=made.gathered.sides.leaks,
        cross_validation=made.folds.top1 if made.folds else (),
        cross_validated=beside.cross_validation.to_json() if beside.cross_validation else None,
        val_given=beside.given_val is not None,
        thresholds=manifest.thresholds,
        known_threshold=beside.threshold.to_json(),
        temperature=manifest.temperature,
        epochs=tuple(map(dict, made.learned.history)),
        peak_rss_bytes=peak_rss_bytes(),
        candidates=made.learned.results,
        suspect_labels=made.review.suspects if made.review else (),
    )
