"""Hold what a job hands to the writer of its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from lungfish.deploy.classifier import Classifier
from lungfish.deploy.proof import Proof
from lungfish.evaluation.report_data import LabelReview, SceneSummary
from lungfish.evaluation.supporting_figures import SupportingFigures
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.job.bundle.supporting_figures import supporting_figures
from lungfish.job.dataset import Dataset
from lungfish.job.stages.run import TrainingResult
from lungfish.runtime.artifact import ArtifactRow
from lungfish.training.crossvalidation import HeldOut
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe
from lungfish.weights.store.record import WeightsRecord


@dataclass(frozen=True, eq=False)
class BundleContents:
    """What a job hands to the bundle writer, once its artifacts are proven.

    Args:
        seed: Seed of the job.
        recipe: Resolved recipe.
        weights: Record of the pretrained weights.
        classifier: Trained classifier.
        head: Head fitted on the frozen trunk; None without pretrained weights.
        training: Result of the stages.
        dataset: Photos of the job.
        rows: Figures of the artifacts.
        default: File name of the default artifact.
        proofs: Proofs of the artifacts, by file name.
        folds: Predictions of the cross-validation; None if there was none.
        review: Labels that may be wrong; None without a head to find them.
        scenes: Number of scenes, and their effect on the figures.
        what_changed: Comparison with the previous bundle; None for the first one.
        warnings: Warnings for the user.
        outside: Whether the network was trained outside Lungfish, on unknown photos.
    """

    seed: int
    recipe: Recipe
    weights: WeightsRecord
    classifier: Classifier
    head: Head | None
    training: TrainingResult
    dataset: Dataset
    rows: tuple[ArtifactRow, ...]
    default: str
    proofs: Mapping[str, Proof]
    folds: HeldOut | None
    review: LabelReview | None
    scenes: SceneSummary
    what_changed: WhatChanged | None
    warnings: tuple[str, ...]
    outside: bool = False

    @property
    def proof(self) -> Proof:
        """Proof of the default artifact."""
        return self.proofs[self.default]

    @cached_property
    def supporting(self) -> SupportingFigures:
        """Figures that support the test figures."""
        head_ships = self.head is not None and self.training.first_block is None
        temperature = self.classifier.temperature if head_ships else None
        return supporting_figures(self.dataset, self.proof, self.folds, temperature, self.recipe.keep_known)
