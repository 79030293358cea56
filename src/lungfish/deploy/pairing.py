"""Pair two bundles' answers on the same photos for `what_changed`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungfish.data.photos import Photo
from lungfish.deploy.bundle_answers import BundleAnswers
from lungfish.evaluation.what_changed import Against, WhatChanged, shared_index, what_changed
from lungfish.runtime.bundle import Bundle


def shared_labels(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that both know, by name, in the new bundle's order."""
    known = set(old)
    return tuple(label for label in new if label in known)


def against(old: Bundle, new_labels: Sequence[str], unlisted: Sequence[Bundle]) -> Against:
    """Return the names and the class differences of a comparison; its counts of left-out photos are still 0.

    Args:
        old: The old bundle.
        new_labels: Classes of the new bundle.
        unlisted: Bundles that do not list their training photos.
    """
    before, after = set(old.labels), set(new_labels)
    return Against(
        old=name_of(old),
        added=tuple(label for label in new_labels if label not in before),
        removed=tuple(label for label in old.labels if label not in after),
        unlisted=tuple(map(name_of, unlisted)),
    )


def name_of(bundle: Bundle) -> str:
    """Return the name of the bundle's folder."""
    return bundle.folder.resolve().name


@dataclass(frozen=True, eq=False)
class AnsweredSplit:
    """One bundle's answers to photos: its labels, and float `[n, classes]`."""

    labels: Sequence[str]
    probabilities: NDArray[np.float32]


def pair(old: AnsweredSplit, new: AnsweredSplit, truth: Sequence[str], terms: Against) -> WhatChanged:
    """Compare answers to the same photos.

    Args:
        old, new: Answers in the order of `truth`.
        truth: True class of each photo, known to both.
        terms: What the comparison leaves out.
    """
    shared = shared_labels(old.labels, new.labels)
    answers = [shared_index(each.labels, shared)[each.probabilities.argmax(axis=1)] for each in (old, new)]
    return what_changed(shared, shared_index(truth, shared), answers[0], answers[1], terms)


def nothing_compared(shared: Sequence[str], terms: Against) -> WhatChanged:
    """Return the result of a comparison without photos."""
    none = np.empty(0, np.int64)
    return what_changed(shared, none, none, none, terms)


def pair_bundles(
    bundles: tuple[Bundle, Bundle],
    answers: tuple[BundleAnswers, BundleAnswers],
    seen: Collection[Photo],
    terms: Against,
) -> WhatChanged:
    """Compare the default artifacts of two bundles, old and new, on the photos that both answered.

    Args:
        bundles: The old and the new bundle.
        answers: Answers of each; those of the new one may cover more photos.
        seen: Photos that one of the bundles was trained on; they are left out and counted.
        terms: Names and class differences from `against`, with the photos left out so far.
    """
    at = [{photo: i for i, photo in enumerate(each.photos)} for each in answers]
    both = [photo for photo in answers[0].photos if photo in at[1]]
    kept = [photo for photo in both if photo not in seen]
    terms = replace(terms, trained_on=terms.trained_on + len(both) - len(kept))
    if not kept:
        return nothing_compared(shared_labels(bundles[0].labels, bundles[1].labels), terms)
    old, new = (
        AnsweredSplit(bundle.labels, each.probabilities[bundle.manifest.default][[where[photo] for photo in kept]])
        for bundle, each, where in zip(bundles, answers, at, strict=True)
    )
    truth = [bundles[0].labels[answers[0].truth[at[0][photo]]] for photo in kept]
    return pair(old, new, truth, terms)
