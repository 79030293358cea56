"""Cross-validation on cached features: what few photos can say of themselves, and of each other's labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lungfish.training.probe import TOLERANCE, Head, Samples, fit_penalty


def cross_validate(samples: Samples, groups: NDArray[np.int64], head: Head, folds: int, seed: int) -> tuple[float, ...]:
    """Top-1 of each fold under a head fitted on the others, at the penalty and weighting of `head`.

    Args:
        samples: all photos, of every split.
        groups: int `[n]`; photos of one group (near-duplicates, a person) stay in one fold.
        head: the head that ships.
        folds: at most as many as the smallest class has groups.
        seed: of the shuffle.
    """
    return tuple(
        float((logits.argmax(axis=1) == samples.labels[held_out]).mean())
        for held_out, logits in each_fold(samples, groups, head, folds, seed)
    )


def each_fold(
    samples: Samples, groups: NDArray[np.int64], head: Head, folds: int, seed: int, tolerance: float = TOLERANCE
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The photos of each fold, and what a head makes of them that was fitted on the others.

    Args:
        samples, groups, head, seed: as for `cross_validate`.
        folds: at most as many as one of the classes has groups.
        tolerance: of the fits.

    Yields:
        int `[m]`, indices of the fold's photos, and float32 `[m, classes]`, their logits before the temperature; -inf
        for a class that no other fold has.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer groups than folds
        splits = list(splitter.split(samples.features, samples.labels, groups))
    for train, held_out in splits:
        classes, labels = np.unique(samples.labels[train], return_inverse=True)  # a fold may hold all of a rare class
        seen = Samples(samples.features[train], labels)
        fitted = fit_penalty(seen, head.penalty, balanced=head.balanced, tolerance=tolerance)
        logits = np.full((len(held_out), samples.labels.max() + 1), -np.inf, np.float32)
        logits[:, classes] = fitted.logits(samples.features[held_out])
        yield held_out, logits
