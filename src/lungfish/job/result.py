"""The result of a job: the bundle, and what was measured on its files."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungfish.core.names import plural
from lungfish.deploy.open_bundle import open_bundle
from lungfish.evaluation.wording import interval, percent, size

if TYPE_CHECKING:
    from lungfish.data.photos import SkippedFile
    from lungfish.data.split.review import PhotoPair
    from lungfish.evaluation.metrics import Metrics
    from lungfish.evaluation.report_data import SuspectLabel
    from lungfish.evaluation.stage_result import StageResult
    from lungfish.runtime.artifact import ArtifactRow
    from lungfish.runtime.bundle import Bundle


@dataclass(frozen=True, kw_only=True, repr=False)
class BundleResult:
    """A bundle that was written, and the figures of its files.

    Args:
        folder: Folder of the bundle, absolute.
        arch: Name of the architecture.
        weights: Name of the weights that training started from.
        classes: Class names, in the order of the class indices.
        counts: Photos in each split.
        test: Figures of the default artifact on the test photos.
        notes: Sentences to show with the test figures.
        val: Figures of the default artifact on the validation photos, on which choices were made.
        artifacts: One row for each file.
        default: File name of the default artifact.
        seconds: Wall-clock seconds of each phase, and the `total` of the job.
        skipped: Files that were not used.
        warnings: Warnings for the user.
        leaks: Copies in different splits.
        thresholds: Thresholds by name; `known` is the lowest probability at which an answer counts as known.
        known_threshold: The threshold `known`, and what it was chosen on.
        temperature: The temperature that logits are divided by.
        peak_rss_bytes: Peak memory of this process.
    """

    folder: Path
    arch: str
    weights: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    test: Metrics
    notes: tuple[str, ...]
    val: Metrics
    artifacts: tuple[ArtifactRow, ...]
    default: str
    seconds: dict[str, float]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]
    leaks: tuple[PhotoPair, ...]
    thresholds: dict[str, float]
    known_threshold: dict[str, Any]
    temperature: float
    peak_rss_bytes: int

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle, opened on first use. Raises `BundleError` or `UsageError` if it was altered or is gone."""
        return open_bundle(self.folder)

    def __repr__(self) -> str:
        row = next(row for row in self.artifacts if row.file == self.default)
        test = f"{percent(self.test.top1)} of {plural(self.test.n, 'test photo')} right"
        text = f"{self.folder.name}: {test} (95 % interval {interval(self.test.ci95)}), {row.file} {size(row.bytes)}"
        return f"<{type(self).__name__} {text}>".replace("\xa0", " ")

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `bundle` is the path of the folder."""
        values = {each.name: _to_json(getattr(self, each.name)) for each in fields(self)}
        return {"bundle": str(values.pop("folder"))} | values


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainResult(BundleResult):
    """What `lungfish.train` returns; its JSON is that of `lungfish train`.

    Args:
        previous: The latest earlier bundle of the same name; None if there was none, or if `out` was given.
        split_from: Name of the bundle whose split was reused automatically, which need not be `previous`.
        recipe: Name of the recipe.
        cross_validation: Top-1 of each fold of the head's cross-validation; empty if there was none.
        cross_validated: Top-1 of that cross-validation over all photos, its interval, and `ships`: whether the head is
            the bundle's classifier; None if there was none.
        val_given: Whether the user had set the validation photos apart.
        epochs: One JSON object for each epoch.
        candidates: One row for each stage, including those that were skipped or left out.
        suspect_labels: Labels that are probably wrong.
        what_changed: The default artifact against that of the previous bundle, on the test photos; None for the first.

    Examples:
        >>> import lungfish as lf
        >>> result = lf.train("photos/", recipe="probe")
        >>> print(result)
        <TrainResult photos-bundle: 89.2 % of 120 test photos right (95 % interval 82.4 to 93.6 %), model.onnx 13.5 MB>
        >>> result.test.top1, result.artifacts[0].latency_ms.p50
        (0.8916666666666667, 7.31)
        >>> result.bundle.predict("photo.jpg")[0].label
        'boot'
    """

    previous: str | None
    split_from: str | None
    recipe: str
    cross_validation: tuple[float, ...]
    cross_validated: dict[str, Any] | None
    val_given: bool
    epochs: tuple[dict[str, Any], ...]
    candidates: tuple[StageResult, ...]
    suspect_labels: tuple[SuspectLabel, ...]
    what_changed: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `bundle` is the path of the folder."""
        values = super().to_json()
        started = {"arch": self.arch, "weights": self.weights}
        return values | {"candidates": [started | stage for stage in values["candidates"]]}


def _to_json(value: Any) -> Any:
    """Return a value with every object in it converted to JSON."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [_to_json(each) for each in value]
    if is_dataclass(value):
        return {each.name: _to_json(getattr(value, each.name)) for each in fields(value)}
    return value
