"""Turn a trained network into a bundle in which every figure was measured on the exported files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lungfish.core.progress import Progress
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.proof import artifact_rows, choose_default, prove
from lungfish.job.bundle.export import export_artifacts
from lungfish.job.bundle.labels import review_labels
from lungfish.job.bundle.scene_figures import summarize_scenes
from lungfish.job.bundle.what_changed import changed_since
from lungfish.job.bundle.write import BundleContents, write_bundle
from lungfish.job.dataset import Dataset
from lungfish.job.stages.head import HeadStage
from lungfish.job.stages.run import TrainingResult
from lungfish.job.stopwatch import Stopwatch
from lungfish.job.target import Target
from lungfish.runtime.manifest import Manifest
from lungfish.training.crossvalidation import HeldOut
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training.

    Args:
        seed: Seed of the job.
        recipe: Resolved recipe.
        stage: Head stage whose network has the trained weights.
        head: Head fitted on the pretrained trunk, with the features in `dataset`; None without pretrained weights.
        folds: Cross-validation of `head`; None if there was none.
        training: Result of the stages.
        dataset: Photos, with the features of the pretrained trunk.
    """

    seed: int
    recipe: Recipe
    stage: HeadStage
    head: Head | None
    folds: HeldOut | None
    training: TrainingResult
    dataset: Dataset


def finish(
    trained: Trained, files: Path, target: Target, clock: Stopwatch, progress: Progress
) -> tuple[BundleContents, Manifest]:
    """Export, quantize, prove, compare with the previous bundle, and write all files of the bundle.

    Args:
        trained: Result of training.
        files: Folder that becomes the bundle.
        target: Destination of the bundle.
        clock: Stopwatch of the job.
        progress: Receives the progress.
    """
    stage, recipe, dataset = trained.stage, trained.recipe, trained.dataset
    preprocess = stage.start.preprocess
    temperature = trained.training.temperature
    classifier = Classifier(stage.network, temperature, dataset.labels, preprocess, stage.start.entry)
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
        weights=stage.weights,
        classifier=classifier,
        head=stage.head,
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
    )
    return contents, write_bundle(files, target.folder.name, contents, clock)
