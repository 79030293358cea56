"""What changed since the previous bundle, for the report of the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.runtime.answering import Reader
from lungfish.workflows.bundle_answers import answer_readers
from lungfish.workflows.known_photos import KnownPhotos, known_photos
from lungfish.workflows.open_bundle import open_bundle
from lungfish.workflows.pairing import Answered, against, nothing_compared, pair, shared_labels


@dataclass(frozen=True, eq=False)
class NewAnswers:
    """A job's test photos, and what its default artefact answered.

    Args:
        labels: class names of the job.
        readers: of the test photos' bytes.
        truth: int `[n]`, index of the true class in `labels`.
        probabilities: float `[n, classes]`, of the default artefact.
    """

    labels: Sequence[str]
    readers: Sequence[Reader]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def what_changed_since(previous: Path, new: NewAnswers, progress: Progress) -> WhatChanged:
    """Let the previous bundle's default artefact answer the new job's test photos, and compare.

    Photos of classes that the previous bundle does not know are left out and counted, and so are those that it was
    trained on. The new job has trained on none of its test photos.

    Args:
        previous: folder of the previous bundle.
        new: the new job's test photos and answers.
        progress: told of the pass.

    Raises:
        UsageError: no such folder.
        BundleError: it is not a sound bundle, of a newer schema, or its artefact fails.
    """
    bundle = open_bundle(previous)
    known, shared = known_photos(bundle), shared_labels(bundle.labels, new.labels)
    numbers = {i for i, label in enumerate(new.labels) if label in set(shared)}
    comparable = [i for i, label in enumerate(new.truth.tolist()) if label in numbers]
    terms = against(bundle, new.labels, () if known.sides else (bundle,))
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
        Answered(bundle.labels, probabilities[bundle.manifest.default][kept]),
        Answered(new.labels, new.probabilities[rows]),
        [new.labels[label] for label in new.truth[rows].tolist()],
        terms,
    )


def _watched(reader: Reader, position: int, known: KnownPhotos, trained: set[int]) -> Callable[[], bytes]:
    """The same reader; reading a photo that the bundle was trained on puts its position into `trained`."""

    def read() -> bytes:
        data = reader()
        if known.trained and sha256_bytes(data) in known.trained:
            trained.add(position)
        return data

    return read
