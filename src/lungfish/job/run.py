"""Run a training job, from photos to a proven bundle."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from lungfish.core.cache import advice_on_cache, cache_limit
from lungfish.core.errors import UsageError
from lungfish.core.progress import Progress
from lungfish.deploy.classifier import Classifier
from lungfish.job.bundle.contents import BundleContents
from lungfish.job.bundle.finish import Trained, bundle_result, finish
from lungfish.job.dataset import Dataset
from lungfish.job.prepare import choose, prepare
from lungfish.job.replace_bundle import staged_bundle
from lungfish.job.result import TrainResult
from lungfish.job.run_dir import check_resumable, end_run, job_fingerprint, only_run, run_folder
from lungfish.job.spec import Job
from lungfish.job.stages.head import HeadStage, fit_head
from lungfish.job.stages.previous_weights import better_start, last_weights
from lungfish.job.stages.run import run_stages
from lungfish.job.stages.speed import Speed, measure_speed
from lungfish.job.stages.stage import TrainingContext
from lungfish.job.stopwatch import Stopwatch
from lungfish.job.target import Target
from lungfish.training.group import Group, advice_on_restarts, join_group, main_first
from lungfish.training.recipe import Recipe


def run_job(job: Job, progress: Progress) -> TrainResult:
    """Run a job. Under `torchrun` every process returns the result, and the main process writes files and messages.

    Raises: As `lungfish.train`.
    """
    with cache_limit(job.cache_gb):
        return _run(job, progress)


def _run(job: Job, progress: Progress) -> TrainResult:
    clock, began = Stopwatch(), time.monotonic()
    choices = choose(job)
    recipe, target = choices.recipe, choices.target

    with join_group() as group, only_run(target.folder) if group.is_main and recipe.tables else nullcontext():
        progress = progress if group.is_main else progress.muted()
        _check_group(group, recipe)
        for line in filter(None, (target.to_say(), choices.advice)):
            progress.say(line)
        for advice in filter(None, (advice_on_cache(), advice_on_restarts())):
            progress.warn(advice)
        with clock.phase("photos_and_features"), main_first(group):
            prepared = prepare(job, choices, progress)
        recipe, dataset = prepared.recipe, prepared.dataset
        _check_same(dataset, group)

        last = last_weights(dataset, prepared.start, job, recipe, progress)
        identity = job_fingerprint(dataset, recipe, (prepared.start, last), job.seed, group.device)
        folder = run_folder(target.folder, identity)
        if job.resume and group.is_main and not folder.exists():
            check_resumable(target.folder, identity)
            progress.say("Nothing to resume; starting from the beginning")

        with clock.phase("head"):
            head, folds = fit_head(dataset, recipe, job.seed, progress)
            stage = prepared.head_stage(head)
            better = better_start(last, stage, recipe, progress) if last else None
            if better and group.broadcast(True):
                stage, folds = better, None  # no cross-validation: its trunk was trained on photos of every fold
        context = _context(job, stage, recipe, (folder, identity, began), group, progress)
        with clock.phase("training"):
            training = run_stages(stage.network, stage.head, context)
            training = replace(training, results=(*training.results, *choices.left_out))

        result = None
        if group.is_main:
            start, labels = stage.start, dataset.labels
            classifier = Classifier(training.network, training.temperature, labels, start.preprocess, start.entry)
            trained = Trained(job.seed, recipe, classifier, stage.weights, dataset, training, head, stage.head, folds)
            with staged_bundle(target.folder, target.replaced, progress) as files:
                contents = finish(trained, files, target, clock, progress)
                progress.stop.check()  # last chance: after the block the bundle is final
            result = _result(target, contents, clock)
            if recipe.tables:
                end_run(folder)
        shared: TrainResult = group.broadcast(result)
        return shared


def _context(
    job: Job,
    stage: HeadStage,
    recipe: Recipe,
    run: tuple[Path, dict[str, str], float],
    group: Group,
    progress: Progress,
) -> TrainingContext:
    dataset, (folder, identity, began) = stage.dataset, run
    speed = measure_speed(dataset, stage.start, stage.network, stage.trunk) if recipe.tables else Speed()
    return TrainingContext(
        dataset=dataset,
        recipe=recipe,
        entry=stage.start.entry,
        preprocess=stage.start.preprocess,
        seed=job.seed,
        folder=folder,
        job=identity,
        began=began,
        deadline=began + 60 * (recipe.minutes or math.inf) - speed.finish_s(dataset, recipe),
        speed=speed,
        group=group,
        progress=progress,
    )


def _check_group(group: Group, recipe: Recipe) -> None:
    learns = any(step.batch_norm == "batch" for step in recipe.tables.values())
    if learns and group.size > 1 and group.device == "cpu":
        raise UsageError(
            "torch cannot share batch-norm statistics between processes on CPUs",
            "Run one process, or, with pretrained weights, set batch_norm to frozen in the recipe.",
        )


def _check_same(dataset: Dataset, group: Group) -> None:
    fingerprint = dataset.ordered_fingerprint()
    if group.broadcast(fingerprint) != fingerprint:
        raise UsageError(
            "this process found different photos, or different photo names, than the main process",
            "Give every machine the same photos.",
        )


def _result(target: Target, contents: BundleContents, clock: Stopwatch) -> TrainResult:
    crossed = contents.supporting.cross_validation
    return TrainResult(
        **vars(bundle_result(target, contents, clock)),
        previous=str(target.previous) if target.previous else None,
        split_from=contents.dataset.previous.name if contents.dataset.previous else None,
        recipe=contents.recipe.name,
        cross_validation=contents.folds.top1 if contents.folds else (),
        cross_validated=crossed.to_json() if crossed else None,
        val_given=contents.supporting.given_val is not None,
        epochs=tuple(map(dict, contents.training.history)),
        candidates=contents.training.results,
        suspect_labels=contents.review.suspects if contents.review else (),
        what_changed=contents.what_changed.to_json() if contents.what_changed else None,
    )
