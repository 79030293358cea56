"""How good every artefact of a bundle is on labelled photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import PhotosError, UsageError
from lungfish.core.names import choose, plural, printable
from lungfish.core.progress import Progress, Silent
from lungfish.data.photos import SPLITS, Photo, PhotoSet, Skipped
from lungfish.data.sources import OneClassError, open_photos
from lungfish.evaluation.confusion import confusion_matrix
from lungfish.evaluation.metrics import ClassScore, Metrics, per_class, score
from lungfish.runtime.answering import answer_photos
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.bundle_files import check_files
from lungfish.workflows.known_photos import KnownPhotos, known_photos
from lungfish.workflows.open_bundle import open_bundle

ALL = "all"


@dataclass(frozen=True)
class Gates:
    """What the default artefact must reach.

    Args:
        min_top1: lowest top-1 that passes, 0 to 1.
        baseline: a bundle whose default artefact must not do better on the same photos.
    """

    min_top1: float | None = None
    baseline: str | Path | None = None

    def __post_init__(self) -> None:
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 1:
            raise UsageError(f"the lowest top-1 is {self.min_top1}; it must be from 0 to 1", "Write 0.9 for 90 %.")


@dataclass(frozen=True)
class ArtifactMetrics:
    """The figures of one artefact."""

    file: str
    precision: str
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "precision": self.precision, **self.metrics.to_json()}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of a bundle on labelled photos.

    Args:
        artifacts: one for each artefact that can run here.
        default: file name of the artefact that the confusion matrix, the classes and the gates are about.
        split: which photos: `train`, `val`, `test`, or `all`.
        labels: class names in the bundle's order.
        confusion: int `[classes, classes]`, indexed `[truth, predicted]`.
        per_class: in the order of `labels`.
        skipped: photos that could not be read.
        seen_in_training: how many of the photos the bundle was trained on, by content; figures on them read high.
        warnings: what a person should know.
        baseline: the figures of the baseline's default artefact.
        failed: the gates that were missed, in words; empty if all is well.
    """

    artifacts: tuple[ArtifactMetrics, ...]
    default: str
    split: str
    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    per_class: tuple[ClassScore, ...]
    skipped: tuple[Skipped, ...] = ()
    seen_in_training: int = 0
    warnings: tuple[str, ...] = ()
    baseline: ArtifactMetrics | None = None
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "artifacts": [row.to_json() for row in self.artifacts],
            "default": self.default,
            "split": self.split,
            "labels": list(self.labels),
            "confusion": self.confusion.tolist(),
            "per_class": [row.to_json() for row in self.per_class],
            "skipped": [{"file": row.file, "reason": row.reason} for row in self.skipped],
            "seen_in_training": self.seen_in_training,
            "warnings": list(self.warnings),
            "baseline": self.baseline.to_json() if self.baseline else None,
            "failed": list(self.failed),
        }


def evaluate(
    bundle: str | Path,
    photos: str | Path,
    split: str | None = None,
    gates: Gates | None = None,
    progress: Progress | None = None,
    *,
    follow_links: bool = False,
) -> Evaluation:
    """Measure every artefact of a bundle on labelled photos. Classes are matched by name.

    Args:
        bundle: its folder.
        photos: as `lungfish.train` takes them; the class names must be the bundle's.
        split: `train`, `val`, `test` or `all`; by default `test` if the photos come with splits, else `all`. Photos
            without splits have the sides on which the bundle's `photos.csv` has the same content.
        gates: what must be reached; see `Evaluation.failed`.
        progress: told of the steps.
        follow_links: also follow links that lead outside the folder of the photos.

    Raises:
        UsageError: no such bundle, or a split that the photos do not have.
        BundleError: the bundle is not what its manifest says, or lacks a file: a slimmed one is not evaluated.
        PhotosError: class names that do not match, or no photo that can be read.
        MachineError: photos that cannot be fetched, or a package that is missing.
    """
    loaded, gates, progress = open_bundle(bundle), gates or Gates(), progress or Silent()
    rival = open_bundle(gates.baseline) if gates.baseline else None
    labelled = _open_labelled(photos, loaded, follow_links)
    for each in (loaded, rival) if rival else (loaded,):
        check_files(each.folder, each.manifest)
        _check_classes(labelled.labels, each)
    known = known_photos(loaded)
    split, chosen = _choose_split(labelled, known, split, progress)

    default = loaded.manifest.default
    runnable = [row.file for row in loaded.manifest.artifacts if row.format == "onnx" or row.file == default]
    seen: list[Photo] = []
    pass_ = _run(loaded, runnable, _watched(labelled, known, seen), chosen, progress)
    artifacts = tuple(_artifact_metrics(loaded, file, pass_) for file in runnable)
    confusion = confusion_matrix(pass_.probabilities[default], pass_.truth)
    baseline = None
    if rival:
        file = rival.manifest.default
        baseline = _artifact_metrics(rival, file, _run(rival, [file], labelled, chosen, progress))
    mine = next(row for row in artifacts if row.file == default)
    return Evaluation(
        artifacts=artifacts,
        default=default,
        split=split,
        labels=loaded.labels,
        confusion=confusion,
        per_class=per_class(confusion, loaded.labels),
        skipped=(*labelled.skipped, *pass_.skipped),
        seen_in_training=len(seen),
        warnings=(*labelled.warnings, *_seen_warning(len(seen), len(pass_.truth))),
        baseline=baseline,
        failed=tuple(_failures(mine, gates, baseline)),
    )


def _open_labelled(photos: str | Path, bundle: Bundle, follow_links: bool) -> PhotoSet:
    try:
        return open_photos(photos, follow_links=follow_links)
    except OneClassError as error:
        _check_classes([error.label], bundle)  # says which are missing: a bundle has two or more
        raise


@dataclass(frozen=True, eq=False)
class _Pass:
    """What the artefacts of one bundle made of the photos: float `[n, classes]` by file, and int `[n]` truth."""

    probabilities: dict[str, NDArray[np.float32]]
    truth: NDArray[np.int64]
    skipped: tuple[Skipped, ...]


def _run(bundle: Bundle, files: list[str], photos: PhotoSet, chosen: Sequence[Photo], progress: Progress) -> _Pass:
    for file in files:
        bundle.session(file, threads=1)  # opened before the threads that share it begin
    models = {file: partial(bundle.probabilities, artifact=file, threads=1) for file in files}
    readers = [partial(photos.read, photo) for photo in chosen]
    with progress.task("Evaluate", len(chosen)) as advance:
        answered = answer_photos(models, readers, bundle.manifest.preprocess, advance)
    skipped = tuple(Skipped(chosen[i].name, reason) for i, reason in sorted(answered.unreadable.items()))
    if len(skipped) == len(chosen):
        raise PhotosError(
            f"none of the {plural(len(chosen), 'photo')} can be read: {skipped[0].reason}", "Look at the files."
        )
    index = {label: i for i, label in enumerate(bundle.labels)}
    readable = (photo for i, photo in enumerate(chosen) if i not in answered.unreadable)
    truth = np.array([index[photos.labels[photo.label]] for photo in readable], np.int64)
    return _Pass(answered.probabilities, truth, skipped)


def _watched(photos: PhotoSet, known: KnownPhotos, seen: list[Photo]) -> PhotoSet:
    """The same photos; reading one that the bundle was trained on puts it into `seen`."""

    def read(photo: Photo) -> bytes:
        data = photos.read(photo)
        if known.was_trained_on(data):
            seen.append(photo)
        return data

    return replace(photos, reader=read)


def _seen_warning(seen: int, total: int) -> Iterator[str]:
    if seen:
        was = "was" if seen == 1 else "were"
        yield f"{seen:,} of {plural(total, 'photo')} {was} trained on; figures on them read high"


def _artifact_metrics(bundle: Bundle, file: str, pass_: _Pass) -> ArtifactMetrics:
    precision = bundle.manifest.artifact(file).precision
    return ArtifactMetrics(file, precision, score(pass_.probabilities[file], pass_.truth))


def _check_classes(labels: Sequence[str], bundle: Bundle) -> None:
    """Class names must be the same set; their order need not be."""
    missing, unexpected = set(bundle.labels) - set(labels), set(labels) - set(bundle.labels)
    if not (missing or unexpected):
        return
    parts = [
        f"{what}: {', '.join(printable(name) for name in sorted(names))}"
        for what, names in (("without photos", missing), ("unknown to the bundle", unexpected))
        if names
    ]
    raise PhotosError(
        f"the classes of the photos are not those of {printable(str(bundle.folder))}; {'; '.join(parts)}",
        f"Name the folders as the bundle's {plural(len(bundle.labels), 'class', 'classes')}: see labels.txt.",
    )


def _choose_split(
    photos: PhotoSet, known: KnownPhotos, split: str | None, progress: Progress
) -> tuple[str, Sequence[Photo]]:
    wanted = choose(split, (*SPLITS, ALL), "split") if split else "test" if photos.given_split else ALL
    if wanted == ALL:
        return wanted, photos.photos
    if photos.given_split or not known.sides:
        chosen = [photo for photo in photos.photos if photo.split == wanted]
        held = sorted({photo.split for photo in photos.photos if photo.split})
    else:
        chosen = known.select(photos, wanted, progress)
        held = []
    if not chosen:
        none_known = f"; none has the content of a {wanted} photo of the bundle" if known.sides and not held else ""
        raise UsageError(
            f"the photos have no {wanted} split; they have {', '.join(held) or 'no splits'}{none_known}",
            f"Add --split {held[0] if held else ALL}.",
        )
    return wanted, chosen


def _failures(mine: ArtifactMetrics, gates: Gates, baseline: ArtifactMetrics | None) -> Iterator[str]:
    top1 = mine.metrics.top1
    if gates.min_top1 is not None and top1 < gates.min_top1:
        yield f"top-1 is {top1:.4f}; at least {gates.min_top1:.4f} is asked for"
    if baseline and top1 < baseline.metrics.top1:
        yield f"top-1 is {top1:.4f}; the baseline has {baseline.metrics.top1:.4f}"
