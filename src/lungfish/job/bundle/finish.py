"""Turn a trained network into a bundle in which every figure was measured on the exported files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lungfish.core.progress import Progress
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.proof import artifact_rows, choose_default, prove
from lungfish.job.bundle.contents import BundleContents
from lungfish.job.bundle.export import export_artifacts
from lungfish.job.bundle.labels import review_labels
from lungfish.job.bundle.scene_figures import summarize_scenes
from lungfish.job.bundle.what_changed import changed_since
from lungfish.job.bundle.write import write_bundle
from lungfish.job.dataset import Dataset
from lungfish.job.result import BundleResult
from lungfish.job.stages.run import TrainingResult
from lungfish.job.stopwatch import Stopwatch
from lungfish.job.target import Target
from lungfish.runtime.measure import peak_rss_bytes
from lungfish.training.crossvalidation import HeldOut
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe
from lungfish.weights.store.record import WeightsRecord


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training.

    Args:
        seed: Seed of the job.
        recipe: Resolved recipe.
        classifier: Trained classifier.
        weights: Record of the weights that training started from.
        dataset: Photos, with the features of the pretrained trunk.
        training: Result of the stages.
        head: Head fitted on the pretrained trunk, with the features in `dataset`; None without pretrained weights.
        start_head: Head that the stages started from: `head`, or that of an earlier bundle.
        folds: Cross-validation of `head`; None if there was none.
        outside: Whether the network was trained outside Lungfish, on unknown photos.
    """

    seed: int
    recipe: Recipe
    classifier: Classifier
    weights: WeightsRecord
    dataset: Dataset
    training: TrainingResult
    head: Head | None = None
    start_head: Head | None = None
    folds: HeldOut | None = None
    outside: bool = False


def finish(trained: Trained, files: Path, target: Target, clock: Stopwatch, progress: Progress) -> BundleContents:
    """Export, quantize, prove, compare with the previous bundle, and write all files of the bundle.

    Args:
        trained: Result of training.
        files: Folder that becomes the bundle.
        target: Destination of the bundle.
        clock: Stopwatch of the job.
        progress: Receives the progress.
    """
    classifier, recipe, dataset = trained.classifier, trained.recipe, trained.dataset
    preprocess = classifier.preprocess
    progress.stop.check()
    progress.say("Exporting and quantizing")
    with clock.phase("export"):
        artifacts = export_artifacts(files, classifier, dataset, recipe)
    progress.stop.check()
    with clock.phase("proof"):
        val, test = dataset.to_prove("val"), dataset.to_prove("test")
        proofs = prove(artifacts, val, test, preprocess, progress)
        rows = tuple(artifact_rows(artifacts, proofs, recipe.int8_max_drop))
        default = choose_default(rows)
    with clock.phase("labels"):
        review = review_labels(dataset, trained.head, preprocess, trained.seed) if trained.head else None
    with clock.phase("what_changed"):
        previous = dataset.previous or target.previous
        changed, why_not = changed_since(previous, dataset, proofs[default], progress)
    contents = BundleContents(
        seed=trained.seed,
        recipe=recipe,
        weights=trained.weights,
        classifier=classifier,
        head=trained.start_head,
        training=trained.training,
        dataset=dataset,
        rows=rows,
        default=default,
        proofs=proofs,
        folds=trained.folds,
        review=review,
        scenes=summarize_scenes(dataset, trained.head, trained.seed),
        what_changed=changed,
        warnings=(*dataset.warnings, *filter(None, [why_not])),
        outside=trained.outside,
    )
    write_bundle(files, target.folder.name, contents, clock)
    return contents


def bundle_result(target: Target, contents: BundleContents, clock: Stopwatch) -> BundleResult:
    """Return the result of a job whose bundle was moved to `target`."""
    supporting = contents.supporting
    return BundleResult(
        folder=target.folder,
        arch=contents.classifier.network.arch.name,
        weights=contents.classifier.entry.name,
        classes=contents.classifier.labels,
        counts=contents.dataset.counts(),
        test=contents.proof.test_metrics,
        notes=supporting.notes(contents.proof.test_metrics.n),
        val=contents.proof.val_metrics,
        artifacts=contents.rows,
        default=contents.default,
        seconds=clock.seconds(),
        skipped=contents.dataset.examined.skipped,
        warnings=(*contents.warnings, *filter(None, [supporting.no_threshold()])),
        leaks=contents.dataset.assignment.leaks,
        thresholds={"known": supporting.threshold.value},
        known_threshold=supporting.threshold.to_json(),
        temperature=contents.classifier.temperature,
        peak_rss_bytes=peak_rss_bytes(),
    )
