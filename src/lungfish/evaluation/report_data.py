"""Define the data of a report: the job fills it in, and `render_report` renders it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lungfish.data.photos import SkippedFile
from lungfish.data.split.review import PhotoPair
from lungfish.evaluation.figures import Figures
from lungfish.evaluation.metrics import Metrics
from lungfish.evaluation.rejection import CoverageRow
from lungfish.evaluation.stage_result import StageResult
from lungfish.evaluation.supporting_figures import SupportingFigures
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.manifest import WeightsOrigin


@dataclass(frozen=True)
class Mistake:
    """A wrongly answered test photo.

    Args:
        name: Relative name of the photo.
        truth, predicted: Labels.
        probability: Probability of `predicted`, in [0, 1].
        thumbnail_jpeg: Small JPEG from `thumbnail`.
        heat_jpeg: Where the network found `predicted`, drawn by `overlay` on the pixels that it saw.
    """

    name: str
    truth: str
    predicted: str
    probability: float
    thumbnail_jpeg: bytes = field(repr=False)
    heat_jpeg: bytes = field(repr=False)


@dataclass(frozen=True)
class SuspectLabel:
    """A photo whose label is probably wrong.

    Args:
        file: Relative name of the photo.
        label: Given label.
        suggested: Label of the class that the photo resembles.
        probability: Probability of `suggested`, in [0, 1], from a classifier that was not trained on this photo.
        split: `train` or `val`.
        thumbnail_jpeg: Small JPEG from `thumbnail`; None if the photo is only listed.
    """

    file: str
    label: str
    suggested: str
    probability: float
    split: str
    thumbnail_jpeg: bytes | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("file", "label", "suggested", "probability", "split")}


@dataclass(frozen=True)
class LabelReview:
    """The result of checking labels against the content of their photos.

    Args:
        checked: Number of training and validation photos whose label was checked.
        suspects: Doubtful labels, the most doubtful first.
    """

    checked: int
    suspects: tuple[SuspectLabel, ...] = ()


@dataclass(frozen=True)
class ClassCount:
    """Number of photos of one class in each split, without skipped files."""

    label: str
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class SceneSummary:
    """Groups of photos of one thing at one place, and their effect on the figures.

    Args:
        scenes: Number of scenes with at least two photos.
        photos: Number of photos in scenes.
        largest: Number of photos in the largest scene.
        unknown: Why scenes are unknown; empty if they were searched for.
        in_sequence: Number of photos whose names or times show which photo was taken just before or after them.
        top1: Top-1 of the head in cross-validation that keeps scenes in one fold; None if not measured.
        random_top1: The same with folds that divide scenes, as a random split does.
        judged: Number of photos in that cross-validation.
    """

    scenes: int
    photos: int
    largest: int
    unknown: str = ""
    in_sequence: int = 0
    top1: float | None = None
    random_top1: float | None = None
    judged: int = 0


@dataclass(frozen=True)
class PhotosSummary:
    """The photos of a job.

    Args:
        counts: One row for each class, in the order of the labels.
        split: How the photos were split, in words after "split": `as given with the photos`.
        skipped: Files that were not used.
        near_duplicates: Pairs that show the same thing, in one split or across splits.
        scenes: Bursts and repeated objects; None if unknown.
    """

    counts: tuple[ClassCount, ...]
    split: str
    skipped: tuple[SkippedFile, ...] = ()
    near_duplicates: tuple[PhotoPair, ...] = ()
    scenes: SceneSummary | None = None

    @property
    def leaks(self) -> tuple[PhotoPair, ...]:
        """Near-duplicates across splits."""
        return tuple(pair for pair in self.near_duplicates if pair.leaks)

    @property
    def total(self) -> int:
        """Number of photos used."""
        return sum(count.train + count.val + count.test for count in self.counts)


@dataclass(frozen=True)
class Epoch:
    """One pass over the training photos: top-1 on their views during the pass, and on validation photos after it."""

    top1: float
    val_top1: float


@dataclass(frozen=True)
class TrainingSummary:
    """How the bundle was made.

    Args:
        architecture: Name of the network.
        recipe: Settings of the resolved recipe.
        seed: Seed for every random choice.
        temperature: Divisor of the logits.
        seconds: Wall-clock time of each phase, in order.
        machine: Processor, cores, system and the like.
        packages: Versions by name.
    """

    architecture: str
    recipe: Mapping[str, object]
    seed: int
    temperature: float
    seconds: Mapping[str, float]
    machine: Mapping[str, object]
    packages: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Report:
    """A report on a bundle. Figures are those of the default artifact, measured through `runtime`.

    Args:
        name: Name of the bundle.
        created: Creation time, in words or ISO 8601.
        labels: Class names, in the order of the class indices.
        test: Figures on the test photos.
        val: Figures on the validation photos, which choices were based on.
        mistakes: The most confident wrong answers on test photos, worst first; at most 24 are shown.
        supporting: Threshold, cross-validation and given validation photos, which complement the test figures.
        coverage: Effect of thresholds on the test photos.
        artifacts: One row for each file.
        default: File name of the default artifact; one of `artifacts`.
        photos: Photos of the job.
        weights: Weights that the training started from.
        training: How the bundle was made.
        warnings: Warnings of the job, shown after those that `cautions` finds.
        epochs: Epochs of gradient training; empty if only a head was fitted.
        stages: Stages of the recipe, in order.
        labels_review: Review of training and validation labels; None if there is nothing to report.
        what_changed: Changes from the previous bundle; None for the first one.
        outside: Whether the network was trained outside Lungfish, on unknown photos.
    """

    name: str
    created: str
    labels: tuple[str, ...]
    test: Figures
    val: Metrics
    mistakes: tuple[Mistake, ...]
    supporting: SupportingFigures
    coverage: tuple[CoverageRow, ...]
    artifacts: tuple[ArtifactRow, ...]
    default: str
    photos: PhotosSummary
    weights: WeightsOrigin
    training: TrainingSummary
    warnings: tuple[str, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    stages: tuple[StageResult, ...] = ()
    labels_review: LabelReview | None = None
    what_changed: WhatChanged | None = None
    outside: bool = False

    @property
    def default_artifact(self) -> ArtifactRow:
        """Row of the default artifact."""
        return next(row for row in self.artifacts if row.file == self.default)
