"""Run the artifacts of a bundle on labelled photos, through `runtime`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.deploy.known_photos import KnownPhotos
from lungfish.evaluation.metrics import Metrics, score
from lungfish.runtime.answering import Reader, answer_photos
from lungfish.runtime.bundle import Bundle


@dataclass(frozen=True, eq=False)
class BundleAnswers:
    """Answers of the artifacts of one bundle to the readable photos.

    Args:
        probabilities: float32 `[n, classes]` by file name.
        truth: int `[n]`, index of the true class in the bundle's labels.
        photos: The `n` photos.
        skipped: Photos that cannot be read.
    """

    probabilities: dict[str, NDArray[np.float32]]
    truth: NDArray[np.int64]
    photos: tuple[Photo, ...]
    skipped: tuple[SkippedFile, ...]


@dataclass(frozen=True)
class ArtifactMetrics:
    """The figures of one artifact."""

    file: str
    precision: str
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "precision": self.precision, **self.metrics.to_json()}


def artifact_metrics(bundle: Bundle, file: str, answers: BundleAnswers) -> ArtifactMetrics:
    """Return the figures of an artifact's answers; macro-F1 averages the classes that have photos."""
    precision = bundle.manifest.artifact(file).precision
    return ArtifactMetrics(file, precision, score(answers.probabilities[file], answers.truth, present_only=True))


def answer(
    bundle: Bundle, files: Sequence[str], photos: PhotoSet, chosen: Sequence[Photo], progress: Progress
) -> BundleAnswers:
    """Run artifacts of a bundle on photos of classes that it knows.

    Raises:
        PhotosError: No photo can be read.
        BundleError: An artifact fails.
    """
    readers = [partial(photos.read, photo) for photo in chosen]
    probabilities, unreadable = answer_readers(bundle, files, readers, progress)
    skipped = tuple(SkippedFile(chosen[i].name, reason) for i, reason in sorted(unreadable.items()))
    if len(skipped) == len(chosen):
        raise PhotosError(
            f"none of the {plural(len(chosen), 'photo')} can be read: {skipped[0].reason}", "Check the files."
        )
    index = {label: i for i, label in enumerate(bundle.labels)}
    readable = tuple(photo for i, photo in enumerate(chosen) if i not in unreadable)
    truth = np.array([index[photos.labels[photo.label]] for photo in readable], np.int64)
    return BundleAnswers(probabilities, truth, readable, skipped)


def answer_readers(
    bundle: Bundle, files: Sequence[str], readers: Sequence[Reader], progress: Progress
) -> tuple[dict[str, NDArray[np.float32]], dict[int, str]]:
    """Return probabilities, float32 `[readable, classes]` by file, and why photos cannot be read, by position."""
    for file in files:
        bundle.session(file, threads=1)  # open it before the threads that share it start
    models = {file: partial(bundle.probabilities, artifact=file, threads=1) for file in files}
    with progress.task("Evaluating", len(readers)) as advance:
        answered = answer_photos(models, readers, bundle.manifest.preprocess, advance)
    return answered.probabilities, answered.unreadable


def watched(photos: PhotoSet, known: KnownPhotos, seen: set[Photo]) -> PhotoSet:
    """Return the same photos with a reader that adds to `seen` every photo that a bundle was trained on."""

    def read(photo: Photo) -> bytes:
        data = photos.read(photo)
        if known.was_trained_on(data):
            seen.add(photo)
        return data

    return replace(photos, reader=read)
