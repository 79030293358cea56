"""What a report shows. The job fills it; `render_report` draws it. Nothing here is computed from a torch model."""

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
    """A test photo that was answered wrongly.

    Args:
        name: relative name of the photo.
        truth, predicted: labels.
        probability: that of `predicted`, in [0, 1].
        thumbnail_jpeg: a small JPEG, as `thumbnail` makes it.
        heat_jpeg: where the network found `predicted` on what it saw of the photo, as `overlay` draws it; None if that
            was not computed.
    """

    name: str
    truth: str
    predicted: str
    probability: float
    thumbnail_jpeg: bytes = field(repr=False)
    heat_jpeg: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SuspectLabel:
    """A photo whose label is probably wrong.

    Args:
        file: relative name of the photo.
        label: as it was given.
        suggested: the label that it looks like.
        probability: that of `suggested`, in [0, 1], by a classifier that did not learn from this photo.
        split: `train` or `val`.
        thumbnail_jpeg: a small JPEG, as `thumbnail` makes it; None if the photo is only listed.
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
    """Labels held against what their photos look like.

    Args:
        checked: training and validation photos whose label was looked at.
        suspects: the most doubtful first.
        why_not: why nobody looked, and what to do; empty if somebody did.
    """

    checked: int
    suspects: tuple[SuspectLabel, ...] = ()
    why_not: str = ""


@dataclass(frozen=True)
class ClassCount:
    """Photos of one class in each split, after skipped files."""

    label: str
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class SceneSummary:
    """Photos of one thing at one place, and what they do to the figures.

    Args:
        scenes: how many there are, of two photos or more.
        photos: how many photos are in them.
        largest: photos of the largest one.
        unknown: why they cannot be known; empty if they were looked for.
        in_sequence: photos whose names or times say which other was taken before or after them.
        top1: of the head in cross-validation with whole scenes in one fold; None if that was not measured.
        random_top1: the same where folds tear scenes apart, as a random split does.
        judged: photos of that cross-validation.
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
        counts: one row for each class, in the order of the labels.
        split: how the photos were divided, in words, such as `given folders` or `by content hash`.
        skipped: files that took no part.
        near_duplicates: pairs that show the same thing, on one side or across splits.
        scenes: bursts and repeated objects; None if nothing is said of them.
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
        """Photos that took part."""
        return sum(count.train + count.val + count.test for count in self.counts)


@dataclass(frozen=True)
class Epoch:
    """One pass over the training photos: top-1 on their views while they were learned, and on validation after it."""

    top1: float
    val_top1: float


@dataclass(frozen=True)
class TrainingSummary:
    """How the bundle was made.

    Args:
        architecture: name of the network.
        recipe: settings, as the resolved recipe holds them.
        seed: of everything random.
        temperature: the logits were divided by it.
        seconds: wall-clock time of each step, in order.
        machine: such as processor, cores, system.
        packages: versions by name.
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
        name: of the bundle.
        created: when, in words or ISO 8601.
        labels: class names, in the order of the class indices.
        test: measured on the test photos.
        val: measured on the validation photos, by which choices were made.
        mistakes: the most confident wrong answers on test photos, worst first; at most 24 are shown.
        supporting: what is known beside the test figures: threshold, cross-validation, given validation photos.
        coverage: what thresholds do to the test photos.
        artifacts: one row for each file.
        default: file name of the default artifact; one of `artifacts`.
        photos: what went in.
        weights: what the training started from.
        making: how it was made.
        warnings: shown after those that the report finds itself, see `cautions`.
        epochs: of training by gradients; empty if only a head was fitted.
        stages: of the recipe, in order.
        labels_review: of the training and validation photos; None if there is nothing to say.
        what_changed: from the previous bundle; None for the first one.
        outside: Whether the network was trained outside Lungfish, on photos that are not known.
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
        """The row of the default artifact."""
        return next(row for row in self.artifacts if row.file == self.default)
