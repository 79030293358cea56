"""Photos in, proven bundle out: the main job, read from top to bottom."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lungfish.core.cache import advice_on_cache
from lungfish.core.errors import UsageError
from lungfish.core.extras import missing_extra
from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress, Silent
from lungfish.data.sources import open_photos
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.proof import artifact_rows, choose_default, prove
from lungfish.runtime.manifest import Manifest
from lungfish.runtime.measure import peak_rss_bytes
from lungfish.training.attach import attach
from lungfish.training.crossvalidation import HeldOut, cross_validate
from lungfish.training.group import Group, advice_on_restarts, first_leads, join_group
from lungfish.training.probe import Head, fit_probe
from lungfish.training.recipe import Recipe, read_recipe, with_limits
from lungfish.training.trunk import network_state, open_trunk
from lungfish.weights.converted import fetch_converted
from lungfish.weights.fetch import FetchOptions
from lungfish.weights.ledger import Card
from lungfish.workflows.climb import climb
from lungfish.workflows.export_artifacts import export_artifacts
from lungfish.workflows.gather import Gathered, gather, gather_options
from lungfish.workflows.job import Job, TrainResult
from lungfish.workflows.labels_review import review_labels
from lungfish.workflows.pace import Pace, measure_pace
from lungfish.workflows.replace_bundle import staged_bundle
from lungfish.workflows.run_folder import check_resumable, end_run, identify, only_run, run_folder
from lungfish.workflows.scene_figures import summarize_scenes
from lungfish.workflows.starting_point import Start, choose_start, initial_start
from lungfish.workflows.step import Setting
from lungfish.workflows.stopwatch import Stopwatch
from lungfish.workflows.target import Target, choose_target
from lungfish.workflows.write_bundle import Made, write_bundle

if TYPE_CHECKING:
    from lungfish.nn import Network


def train(  # noqa: PLR0913  the command's options, under the names that people type
    photos: str | Path,
    out: str | Path | None = None,
    *,
    arch: str | None = None,
    weights: str | None = None,
    recipe: str = "auto",
    epochs: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    split: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    follow_links: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Make a proven bundle from labelled photos. The other arguments are those of `Job`.

    Args:
        progress: told of the steps; silent if None.

    Raises:
        UsageError: a name or option that is wrong, or a place that must not be written to.
        PhotosError: the photos cannot be used as they are.
        ParityError: the exported file computes something else than the network.
        MachineError: weights, packages or disk are in the way.
    """
    job = Job(
        photos=photos,
        out=Path(out) if out else None,
        arch=arch,
        weights=weights,
        recipe=recipe,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        split=Path(split) if split else None,
        force=force,
        resume=resume,
        follow_links=follow_links,
    )
    return run_job(job, progress or Silent())


def run_job(job: Job, progress: Progress) -> TrainResult:
    """See `train`. Under `torchrun` every process gets the result; the first one writes and speaks."""
    clock, began = Stopwatch(), time.monotonic()
    start, recipe = resolve(job)
    photos = open_photos(job.photos, follow_links=job.follow_links)
    target = choose_target(job.photos, job.out, force=job.force)

    with join_group() as group, only_run(target.folder) if group.leads and recipe.tables else nullcontext():
        progress = progress if group.leads else Silent()
        _check_group(group, recipe)
        for line in (target.to_say(), advice_on_cache(), advice_on_restarts()):
            if line:
                progress.say(line)
        with clock.step("photos_and_features"), first_leads(group):
            network, weights = open_network(start, recipe, job.seed, progress)
            start = replace(start, entry=weights.entry)  # with what only the file could tell
            trunk = open_trunk(network, start.entry)
            options = gather_options(job, target, recipe.cross_validate_below, (trunk, start.entry))
            gathered = gather(photos, start.preprocess, trunk if recipe.pretrained else None, options, progress)
            recipe = recipe.for_photos(len(gathered.indices("train")))
        _check_same(gathered, group)

        identity = identify(gathered, recipe, start, job.seed, group.device)
        folder = run_folder(target.folder, identity)
        if job.resume and group.leads and not folder.exists():
            check_resumable(target.folder, identity)
            progress.say("Nothing to resume: the job begins anew")

        with clock.step("head"):
            head, folds = _probe(gathered, recipe, job.seed, progress)
            attach(network, head, len(gathered.labels))
        pace = measure_pace(gathered, start, network, trunk) if recipe.tables else Pace()
        setting = Setting(
            gathered=gathered,
            recipe=recipe,
            entry=start.entry,
            preprocess=start.preprocess,
            seed=job.seed,
            folder=folder,
            job=identity,
            began=began,
            deadline=began + 60 * (recipe.minutes or math.inf) - pace.finish_s(gathered, recipe),
            pace=pace,
            group=group,
            progress=progress,
        )
        with clock.step("training"):
            learned = climb(network, head, setting)

        result = None
        if group.leads:
            classifier = Classifier(network, learned.temperature, gathered.labels, start.preprocess, start.entry)
            with staged_bundle(target.folder, target.replaced, progress) as stage:
                progress.say("Exporting and quantizing")
                with clock.step("export"):
                    artifacts = export_artifacts(stage, classifier, gathered, recipe)
                with clock.step("proof"):
                    val, test = gathered.to_prove("val"), gathered.to_prove("test")
                    proofs = prove(list(artifacts.values()), val, test, start.preprocess, progress)
                    rows = tuple(artifact_rows(artifacts, proofs, recipe.int8_max_drop))
                with clock.step("labels"):
                    review = review_labels(gathered, head, start.preprocess, job.seed) if head else None
                default = choose_default(rows)
                made = Made(
                    seed=job.seed,
                    recipe=recipe,
                    weights=weights,
                    classifier=classifier,
                    head=head,
                    learned=learned,
                    gathered=gathered,
                    rows=rows,
                    default=default,
                    proofs=proofs,
                    folds=folds,
                    review=review,
                    scenes=summarize_scenes(gathered, head, job.seed),
                )
                manifest = write_bundle(stage, target.folder.name, made, clock)
            result = _result(target, manifest, made, clock)
            if recipe.tables:
                end_run(folder)
        shared: TrainResult = group.agree(result)
        return shared


def resolve(job: Job) -> tuple[Start, Recipe]:
    """The architecture, weights and recipe that a job names.

    Raises:
        UnknownNameError: one of the names is not known.
        UsageError: a recipe that needs no weights got some, or a limit is out of range.
        WeightsError: no weights fit the architecture.
        MissingExtraError: this is the base install, which does not train.
    """
    if find_spec("torch") is None:
        raise missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch"), "training")
    recipe = with_limits(read_recipe(job.recipe), job.epochs, job.minutes)
    if recipe.pretrained:
        return choose_start(job.arch, job.weights), recipe
    if job.weights:
        raise UsageError(
            f"recipe {recipe.name} starts without weights", "Leave --weights out, or choose --recipe full."
        )
    return initial_start(job.arch), recipe


def open_network(start: Start, recipe: Recipe, seed: int, progress: Progress) -> tuple[Network, Card]:
    """The network that a job starts from, and the card of its weights, which are fetched if need be."""
    from lungfish import nn
    from lungfish.weights.load import load_network

    if not recipe.pretrained:
        network = nn.build(start.arch, start.entry.flavour, seed=seed).eval()
        drawn = sha256_bytes(b"".join(np.ascontiguousarray(each).data for each in network_state(network).values()))
        return network, Card(replace(start.entry, sha256=drawn), "")
    card = fetch_converted(start.entry, FetchOptions(progress=progress))
    return load_network(card.entry, start.arch), card


def _probe(gathered: Gathered, recipe: Recipe, seed: int, progress: Progress) -> tuple[Head | None, HeldOut | None]:
    """The head on the training photos, and its cross-validation; its copies of the features do not last."""
    if not recipe.pretrained:
        return None, None
    progress.say(gathered.sampled() or "Fitting the head")
    train, val = (gathered.samples(gathered.embedded_indices(split)) for split in ("train", "val"))
    head = fit_probe(train, val, recipe)
    return head, _cross_validate(gathered, head, recipe, seed)


def _cross_validate(gathered: Gathered, head: Head, recipe: Recipe, seed: int) -> HeldOut | None:
    """Answers of the head's cross-validation over all photos; None with many photos, or with too few to fold."""
    truth, units = gathered.truth, gathered.sides.units
    if len(gathered.photos.photos) >= recipe.cross_validate_below:
        return None
    folds = min(recipe.folds, *(len(set(units[truth == label])) for label in range(len(gathered.labels))))
    if folds < 2:
        return None
    everything = gathered.samples(np.arange(len(truth)))
    return cross_validate(everything, units, head, folds, seed)


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
    candidates = tuple({"arch": network.arch.name, "weights": entry.name} | asdict(rung) for rung in made.learned.rungs)
    return TrainResult(
        bundle=str(target.folder),
        previous=str(target.previous) if target.previous else None,
        split_from=made.gathered.previous or None,
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
        skipped=tuple({"file": each.file, "reason": each.reason} for each in made.gathered.examined.skipped),
        warnings=(*made.gathered.warnings, *filter(None, [beside.no_threshold()])),
        leaks=tuple(asdict(leak) for leak in made.gathered.sides.leaks),
        cross_validation=made.folds.top1 if made.folds else (),
        cross_validated=beside.cross_validation.to_json() if beside.cross_validation else None,
        val_given=beside.given_val is not None,
        thresholds=manifest.thresholds,
        known_threshold=beside.threshold.to_json(),
        temperature=manifest.temperature,
        epochs=tuple(map(dict, made.learned.history)),
        peak_rss_bytes=peak_rss_bytes(),
        candidates=candidates,
        suspect_labels=tuple(each.to_json() for each in made.review.suspects) if made.review else (),
    )
