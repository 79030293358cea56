"""Two bundles' answers on the same photos, as `what_changed` takes them."""

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
    """Classes that both know, by name, in the new one's order."""
    known = set(old)
    return tuple(label for label in new if label in known)


def against(old: Bundle, new_labels: Sequence[str], unlisted: Sequence[Bundle]) -> Against:
    """What a comparison with a bundle can say before any photo is answered.

    Args:
        old: the bundle.
        new_labels: the classes of the new one.
        unlisted: the bundles that do not list the photos they were trained on.
    """
    before, after = set(old.labels), set(new_labels)
    return Against(
        old=name_of(old),
        added=tuple(label for label in new_labels if label not in before),
        removed=tuple(label for label in old.labels if label not in after),
        unlisted=tuple(map(name_of, unlisted)),
    )


def name_of(bundle: Bundle) -> str:
    """The name of its folder."""
    return bundle.folder.resolve().name


@dataclass(frozen=True, eq=False)
class AnsweredSplit:
    """One bundle's answers on photos: its labels, and float `[n, classes]`."""

    labels: Sequence[str]
    probabilities: NDArray[np.float32]


def pair(old: AnsweredSplit, new: AnsweredSplit, truth: Sequence[str], terms: Against) -> WhatChanged:
    """Compare answers on the same photos.

    Args:
        old, new: answers in the order of `truth`.
        truth: the true class of each photo; both know it.
        terms: what the comparison leaves out.
    """
    shared = shared_labels(old.labels, new.labels)
    answers = [shared_index(each.labels, shared)[each.probabilities.argmax(axis=1)] for each in (old, new)]
    return what_changed(shared, shared_index(truth, shared), answers[0], answers[1], terms)


def nothing_compared(shared: Sequence[str], terms: Against) -> WhatChanged:
    """What is to be said where no photo is left."""
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
        bundles: the old and the new one.
        answers: of each; those of the new one may be on more photos.
        seen: photos that one of the bundles was trained on, which are left out and counted.
        terms: what the comparison says of classes and lists.
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
