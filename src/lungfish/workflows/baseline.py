"""Compare a bundle with a baseline bundle on the photos that both can be measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lungfish.core.errors import PhotosError
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo, PhotoSet
from lungfish.deploy.bundle_answers import ArtifactMetrics, BundleAnswers, answer, artifact_metrics, watched
from lungfish.deploy.known_photos import KnownPhotos, known_photos
from lungfish.deploy.pairing import against, pair_bundles, shared_labels
from lungfish.evaluation.metrics import Metrics, score
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.runtime.bundle import Bundle


@dataclass(frozen=True, eq=False)
class OwnMetrics:
    """The evaluated bundle and its answers.

    Args:
        bundle: The loaded bundle.
        known: Photos that the bundle was made from.
        answers: Answers of its artifacts to all photos.
        seen: Photos that the bundle was trained on.
    """

    bundle: Bundle
    known: KnownPhotos
    answers: BundleAnswers
    seen: frozenset[Photo]


@dataclass(frozen=True, eq=False)
class Baseline:
    """Figures of both default artifacts on photos of shared classes.

    Args:
        metrics: Figures of the baseline.
        own: Figures of the evaluated bundle on the same photos.
        changed: Photo-by-photo comparison, on the photos that neither bundle was trained on.
    """

    metrics: ArtifactMetrics
    own: Metrics
    changed: WhatChanged


def of_shared_classes(photos: PhotoSet, chosen: Sequence[Photo], old: Bundle, new: Bundle) -> list[Photo]:
    """Return the photos of classes that both bundles know.

    Raises:
        PhotosError: There are none.
    """
    shared = shared_labels(old.labels, new.labels)
    numbers = {i for i, label in enumerate(photos.labels) if label in set(shared)}
    comparable = [photo for photo in chosen if photo.label in numbers]
    if not comparable:
        named = ", ".join(map(printable, shared)) or "none"
        both = " and ".join(printable(str(each.folder)) for each in (old, new))
        raise PhotosError(
            f"none of the photos is of a class that both {both} know; their common classes: {named}",
            "Give photos of classes that both bundles know, or another bundle.",
        )
    return comparable


def measure_baseline(
    rival: Bundle, own: OwnMetrics, labelled: PhotoSet, comparable: Sequence[Photo], progress: Progress
) -> Baseline:
    """Measure the baseline, and the evaluated bundle on the same photos.

    Args:
        rival: The baseline.
        own: The evaluated bundle.
        labelled: All photos.
        comparable: Photos of classes that both bundles know.
        progress: Receives progress events.

    Raises:
        PhotosError: No photo can be read.
        BundleError: The baseline's artifact fails, or its list of photos is invalid.
    """
    known, file, seen = known_photos(rival), rival.manifest.default, set(own.seen)
    answers = answer(rival, [file], watched(labelled, known, seen), comparable, progress)
    position = {photo: i for i, photo in enumerate(own.answers.photos)}
    rows = [position[photo] for photo in answers.photos if photo in position]
    others = len(own.answers.photos) - len(rows)
    unlisted = [bundle for bundle, photos in ((rival, known), (own.bundle, own.known)) if not photos.splits]
    terms = replace(against(rival, own.bundle.labels, unlisted), other_classes=others)
    return Baseline(
        metrics=artifact_metrics(rival, file, answers),
        own=score(own.answers.probabilities[own.bundle.manifest.default][rows], own.answers.truth[rows]),
        changed=pair_bundles((rival, own.bundle), (answers, own.answers), seen, terms),
    )
