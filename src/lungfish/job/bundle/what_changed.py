"""Compare a job with the previous bundle, for its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import LungfishError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.deploy.bundle_answers import answer_readers
from lungfish.deploy.known_photos import KnownPhotos, known_photos
from lungfish.deploy.open_bundle import open_bundle
from lungfish.deploy.pairing import AnsweredSplit, against, nothing_compared, pair, shared_labels
from lungfish.deploy.proof import Proof
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.job.dataset import Dataset
from lungfish.runtime.answering import Reader


@dataclass(frozen=True, eq=False)
class NewAnswers:
    """A job's test photos, and the predictions of its default artifact.

    Args:
        labels: Class names of the job.
        readers: Functions that read the test photos.
        truth: int `[n]`, index of the true class in `labels`.
        probabilities: float `[n, classes]`, predictions of the default artifact.
    """

    labels: Sequence[str]
    readers: Sequence[Reader]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def what_changed_since(previous: Path, new: NewAnswers, progress: Progress) -> WhatChanged:
    """Predict the new job's test photos with the previous bundle's default artifact, and compare.

    Photos of classes that the previous bundle lacks, and photos that it was trained on, are left out and counted. The
    new job was trained on none of its test photos.

    Args:
        previous: Folder of the previous bundle.
        new: Test photos and predictions of the new job.
        progress: Receives the progress.

    Raises:
        UsageError: The folder does not exist.
        BundleError: The bundle is damaged or has a newer schema, or its artifact fails.
    """
    bundle = open_bundle(previous)
    known, shared = known_photos(bundle), shared_labels(bundle.labels, new.labels)
    numbers = {i for i, label in enumerate(new.labels) if label in set(shared)}
    comparable = [i for i, label in enumerate(new.truth.tolist()) if label in numbers]
    terms = against(bundle, new.labels, () if known.splits else (bundle,))
    terms = replace(terms, other_classes=len(new.truth) - len(comparable))
    if not comparable:
        return nothing_compared(shared, terms)
    trained: set[int] = set()
    readers = [_watched(new.readers[i], i, known, trained) for i in comparable]
    probabilities, unreadable = answer_readers(bundle, [bundle.manifest.default], readers, progress)
    readable = [i for at, i in enumerate(comparable) if at not in unreadable]
    kept = [at for at, i in enumerate(readable) if i not in trained]
    terms = replace(terms, trained_on=len(readable) - len(kept))
    if not kept:
        return nothing_compared(shared, terms)
    rows = [readable[at] for at in kept]
    return pair(
        AnsweredSplit(bundle.labels, probabilities[bundle.manifest.default][kept]),
        AnsweredSplit(new.labels, new.probabilities[rows]),
        [new.labels[label] for label in new.truth[rows].tolist()],
        terms,
    )


def _watched(reader: Reader, position: int, known: KnownPhotos, trained: set[int]) -> Callable[[], bytes]:
    """Return a reader that adds the position to `trained` if the bundle was trained on the photo."""

    def read() -> bytes:
        data = reader()
        if known.trained and sha256_bytes(data) in known.trained:
            trained.add(position)
        return data

    return read


def changed_since(
    previous: Path | None, dataset: Dataset, proof: Proof, progress: Progress
) -> tuple[WhatChanged | None, str]:
    """Compare the new default artifact with that of the last bundle, on the new test photos.

    Returns:
        What changed, or None; and why no comparison was possible, or an empty text.
    """
    if previous is None:
        return None, ""
    test = dataset.to_prove("test")
    answers = NewAnswers(dataset.labels, test.readers, test.truth, proof.test)
    try:
        return what_changed_since(previous, answers, progress), ""
    except LungfishError as error:
        return None, f"not compared with {printable(previous.name)}: {error.message}"
