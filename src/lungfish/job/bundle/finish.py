"""The last part of a job: from the trained network to a bundle whose every figure was measured on its files."""

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
from lungfish.job.bundle.write import Made, write_bundle
from lungfish.job.dataset import Gathered
from lungfish.job.stages.head import HeadStage
from lungfish.job.stages.run import Learned
from lungfish.job.stopwatch import Stopwatch
from lungfish.job.target import Target
from lungfish.runtime.manifest import Manifest
from lungfish.training.crossvalidation import HeldOut
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Trained:
    """What training hands over.

    Args:
        seed: Of the job.
        recipe: Resolved.
        stage: Whose network holds the weights now.
        head: Fitted on the pretrained trunk, with the features in `gathered`; None without pretrained weights.
        folds: The cross-validation of `head`; None if there was none.
        learned: What the steps brought about.
        gathered: The photos, with the features of the pretrained trunk.
    """

    seed: int
    recipe: Recipe
    stage: HeadStage
    head: Head | None
    folds: HeldOut | None
    learned: Learned
    gathered: Gathered


def finish(
    trained: Trained, files: Path, target: Target, clock: Stopwatch, progress: Progress
) -> tuple[Made, Manifest]:
    """Export, quantize, prove, compare with the previous bundle, and write all files of the bundle.

    Args:
        trained: The network and what it was trained on.
        files: The folder that becomes the bundle.
        target: Where it will be.
        clock: Of the job.
        progress: Told of the steps.
    """
    stage, recipe, gathered = trained.stage, trained.recipe, trained.gathered
    preprocess = stage.start.preprocess
    temperature = trained.learned.temperature
    classifier = Classifier(stage.network, temperature, gathered.labels, preprocess, stage.start.entry)
    progress.stop.check()
    progress.say("Exporting and quantizing")
    with clock.step("export"):
        artifacts = export_artifacts(files, classifier, gathered, recipe)
    progress.stop.check()
    with clock.step("proof"):
        val, test = gathered.to_prove("val"), gathered.to_prove("test")
        proofs = prove(artifacts, val, test, preprocess, progress)
        rows = tuple(artifact_rows(artifacts, proofs, recipe.int8_max_drop))
        default = choose_default(rows)
    with clock.step("labels"):
        review = review_labels(gathered, trained.head, preprocess, trained.seed) if trained.head else None
    with clock.step("what_changed"):
        previous = gathered.previous or target.previous
        changed, why_not = changed_since(previous, gathered, proofs[default], progress)
    made = Made(
        seed=trained.seed,
        recipe=recipe,
        weights=stage.weights,
        classifier=classifier,
        head=stage.head,
        learned=trained.learned,
        gathered=gathered,
        rows=rows,
        default=default,
        proofs=proofs,
        folds=trained.folds,
        review=review,
        scenes=summarize_scenes(gathered, trained.head, trained.seed),
        what_changed=changed,
        warnings=(*gathered.warnings, *filter(None, [why_not])),
    )
    return made, write_bundle(files, target.folder.name, made, clock)
