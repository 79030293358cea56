"""A bundle beside another one, the baseline, on the photos that both can be measured on."""

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
    """The bundle that is evaluated.

    Args:
        bundle: as loaded.
        known: the photos that it was made from.
        answers: of its artifacts on all photos.
        seen: those that it was trained on.
    """

    bundle: Bundle
    known: KnownPhotos
    answers: BundleAnswers
    seen: frozenset[Photo]


@dataclass(frozen=True, eq=False)
class Baseline:
    """Default artifacts of the baseline and of the bundle on photos of the classes that both know.

    Args:
        metrics: of the baseline.
        own: of the bundle, on the same photos.
        changed: both, photo by photo, on the photos that neither was trained on.
    """

    metrics: ArtifactMetrics
    own: Metrics
    changed: WhatChanged


def of_shared_classes(photos: PhotoSet, chosen: Sequence[Photo], old: Bundle, new: Bundle) -> list[Photo]:
    """The photos of classes that both bundles know.

    Raises:
        PhotosError: there is none.
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
    """Measure the baseline, and the bundle beside it.

    Args:
        rival: the baseline.
        own: the bundle that is evaluated.
        labelled: the photos.
        comparable: those of classes that both know.
        progress: told of the pass.

    Raises:
        PhotosError: no photo can be read.
        BundleError: the baseline's artifact fails, or its list of photos is none.
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
