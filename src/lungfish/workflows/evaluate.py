"""Measure every artifact of a bundle on labelled photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.deploy.bundle_answers import ArtifactMetrics, answer, artifact_metrics, watched
from lungfish.deploy.known_photos import known_photos
from lungfish.deploy.open_bundle import open_bundle, open_one_of_two
from lungfish.evaluation.confusion import confusion_matrix
from lungfish.evaluation.metrics import ClassScore, per_class
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.evaluation.wording import percent
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.bundle_files import check_files
from lungfish.runtime.engines.table import runnable_formats
from lungfish.workflows.baseline import OwnMetrics, measure_baseline, of_shared_classes
from lungfish.workflows.gates import Gates, gate_warnings, missed_gates
from lungfish.workflows.labelled_photos import check_class_names, choose_split, open_labelled


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """The figures of a bundle on labelled photos.

    Args:
        artifacts: Figures of each artifact that can run here.
        default: File name of the default artifact; confusion matrix, classes and gates refer to it.
        split: Split of the photos: `train`, `val`, `test`, or `all`.
        labels: Class names in the bundle's order.
        absent: Classes without photos here. Predicting one counts as wrong; macro-F1 averages the other classes.
        confusion: int `[classes, classes]`, indexed `[truth, predicted]`.
        per_class: Figures of each class, in the order of `labels`.
        skipped: Photos that could not be read.
        seen_in_training: Number of photos that the bundle was trained on, by content; they make the figures too high.
        warnings: Messages for the user.
        baseline: Figures of the baseline's default artifact, on photos of the classes that both bundles know.
        what_changed: Photo-by-photo comparison of both default artifacts, on photos that neither was trained on.
        failed: Missed gates, in words; empty if all passed.
    """

    artifacts: tuple[ArtifactMetrics, ...]
    default: str
    split: str
    labels: tuple[str, ...]
    absent: tuple[str, ...]
    confusion: NDArray[np.int64]
    per_class: tuple[ClassScore, ...]
    skipped: tuple[SkippedFile, ...] = ()
    seen_in_training: int = 0
    warnings: tuple[str, ...] = ()
    baseline: ArtifactMetrics | None = None
    what_changed: WhatChanged | None = None
    failed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        rows = ", ".join(f"{row.file} {percent(row.metrics.top1)}" for row in self.artifacts)
        photos = plural(self.artifacts[0].metrics.n, "photo")
        return f"<Evaluation on {photos} ({self.split}): {rows} right>".replace("\xa0", " ")

    def to_json(self) -> dict[str, Any]:
        return {
            "artifacts": [row.to_json() for row in self.artifacts],
            "default": self.default,
            "split": self.split,
            "labels": list(self.labels),
            "absent": list(self.absent),
            "confusion": self.confusion.tolist(),
            "per_class": [row.to_json() for row in self.per_class],
            "skipped": list(map(asdict, self.skipped)),
            "seen_in_training": self.seen_in_training,
            "warnings": list(self.warnings),
            "baseline": self.baseline.to_json() if self.baseline else None,
            "what_changed": self.what_changed.to_json() if self.what_changed else None,
            "failed": list(self.failed),
        }


def evaluate(
    bundle: str | Path | Bundle,
    photos: str | Path,
    split: str | None = None,
    gates: Gates | None = None,
    progress: Progress | None = None,
    *,
    follow_links: bool = False,
) -> Evaluation:
    """Measure every artifact of a bundle on labelled photos. Classes are matched by name.

    Args:
        bundle: The bundle, or its folder.
        photos: Photos, as for `lungfish.train`; a single class is enough, and the bundle must know every class.
        split: `train`, `val`, `test` or `all`; by default `test` if the photos come with splits, else `all`. Photos
            without splits get the splits of photos with the same content in the bundle's `photos.csv`.
        gates: Required figures; see `Evaluation.failed`.
        progress: Receives progress events.
        follow_links: Whether to follow links that lead outside the photos' folder.

    Raises:
        UsageError: The bundle does not exist, the photos do not have the split, or none of them can decide a gate.
        BundleError: The bundle differs from its manifest, or lacks a file that it lists.
        PhotosError: The bundle does not know a class, no photo can be read, or none is of a class that the baseline
            knows.
        MachineError: The photos cannot be fetched, or a package is missing.

    Examples:
        >>> import lungfish as lf
        >>> measured = lf.evaluate("shoes/", "more/")
        >>> measured
        <Evaluation on 120 photos (all): model.onnx 89.2 %, model-int8.onnx 88.3 % right>
        >>> measured.artifacts[0].metrics.top1
        0.8916666666666667
    """
    loaded = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    gates, progress = gates or Gates(), progress or Progress()
    rival = open_one_of_two(gates.baseline) if gates.baseline else None
    labelled = open_labelled(photos, follow_links)
    for each in (loaded, rival) if rival else (loaded,):
        check_files(each.folder, each.manifest)
    check_class_names(labelled.labels, loaded)
    known = known_photos(loaded)
    split, chosen = choose_split(labelled, known, split, progress)
    comparable = of_shared_classes(labelled, chosen, rival, loaded) if rival else ()

    default, formats = loaded.manifest.default, runnable_formats()
    runnable = [row.file for row in loaded.manifest.artifacts if row.format in formats or row.file == default]
    seen: set[Photo] = set()
    answers = answer(loaded, runnable, watched(labelled, known, seen), chosen, progress)
    own = OwnMetrics(loaded, known, answers, frozenset(seen))
    baseline = measure_baseline(rival, own, labelled, comparable, progress) if rival else None
    evaluation = _evaluation(own, runnable, labelled, split)
    if baseline:
        evaluation = replace(evaluation, baseline=baseline.metrics, what_changed=baseline.changed)
    mine = next(row.metrics for row in evaluation.artifacts if row.file == default)
    return replace(
        evaluation,
        warnings=(*evaluation.warnings, *gate_warnings(gates, baseline)),
        failed=tuple(missed_gates(gates, mine, baseline)),
    )


def _evaluation(own: OwnMetrics, runnable: Sequence[str], labelled: PhotoSet, split: str) -> Evaluation:
    """Return the figures of a bundle alone."""
    bundle, answers, labels = own.bundle, own.answers, own.bundle.labels
    confusion = confusion_matrix(answers.probabilities[bundle.manifest.default], answers.truth)
    absent = tuple(label for label, n in zip(labels, confusion.sum(axis=1), strict=True) if n == 0)
    about = (
        *_absent_warning(absent, len(labels)),
        *_seen_warning(len(own.seen), len(answers.truth)),
        *_unlisted_warning(own),
    )
    return Evaluation(
        artifacts=tuple(artifact_metrics(bundle, file, answers) for file in runnable),
        default=bundle.manifest.default,
        split=split,
        labels=labels,
        absent=absent,
        confusion=confusion,
        per_class=per_class(confusion, labels),
        skipped=(*labelled.skipped, *answers.skipped),
        seen_in_training=len(own.seen),
        warnings=(*labelled.warnings, *about),
    )


def _absent_warning(absent: Sequence[str], classes: int) -> Iterator[str]:
    if absent:
        named, others = _quoted(absent), plural(classes - len(absent), "class", "classes")
        yield f"no photos of {named} here; measured the other {others}"


def _quoted(labels: Sequence[str]) -> str:
    *others, last = [repr(printable(label)) for label in labels]
    return f"{', '.join(others)} and {last}" if others else last


def _seen_warning(seen: int, total: int) -> Iterator[str]:
    if seen:
        was = "was" if seen == 1 else "were"
        yield f"{seen:,} of {plural(total, 'photo')} {was} trained on, so the figures are too optimistic"


def _unlisted_warning(own: OwnMetrics) -> Iterator[str]:
    """Warn about a bundle that was trained on photos but does not list them, such as a slim copy."""
    if own.bundle.manifest.data.counts.get("train") and not own.known.splits:
        yield "the bundle does not list its training photos; if they are among these, figures are too optimistic"
