"""Cross-validation on cached features: what few photos can say of themselves, and of each other's labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.training.probe import TOLERANCE, Head, LabelledFeatures, fit_penalty


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The answer to every photo by a head that was fitted without it and its group.

    Args:
        logits: float32 `[n, classes]`, before the temperature; -inf for a class that the head has not seen.
        labels: int64 `[n]`, the true classes.
        folds: int64 `[n]`, the fold that each photo was held out in, from 0.
        groups: int64 `[n]`; photos of one group were held out together.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool `[n]`: whether each answer is right."""
        right: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return right

    @property
    def top1(self) -> tuple[float, ...]:
        """Share of right answers in each fold."""
        return tuple(float(self.correct[self.folds == fold].mean()) for fold in np.unique(self.folds))

    def probabilities(self, temperature: float) -> NDArray[np.float32]:
        """float32 `[n, classes]`: the answers as a classifier with this temperature gives them."""
        from scipy.special import softmax

        found: NDArray[np.float32] = softmax(self.logits / np.float32(temperature), axis=1)
        return found


def cross_validate(samples: LabelledFeatures, groups: NDArray[np.int64], head: Head, folds: int, seed: int) -> HeldOut:
    """Answer every photo by a head fitted on the other folds, at the penalty and weighting of `head`.

    Args:
        samples: all photos, of every split.
        groups: int `[n]`; photos of one group (near-duplicates, a person) stay in one fold.
        head: the head that ships.
        folds: at most as many as the smallest class has groups.
        seed: of the shuffle.
    """
    logits = np.empty((len(samples.labels), samples.labels.max() + 1), np.float32)
    fold_of = np.empty(len(samples.labels), np.int64)
    for fold, (held_out, of_fold) in enumerate(each_fold(samples, groups, head, folds, seed)):
        logits[held_out], fold_of[held_out] = of_fold, fold
    return HeldOut(logits, samples.labels, fold_of, groups)


def each_fold(
    samples: LabelledFeatures,
    groups: NDArray[np.int64],
    head: Head,
    folds: int,
    seed: int,
    tolerance: float = TOLERANCE,
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
        seen = LabelledFeatures(samples.features[train], labels)
        fitted = fit_penalty(seen, head.penalty, balanced=head.balanced, tolerance=tolerance)
        logits = np.full((len(held_out), samples.labels.max() + 1), -np.inf, np.float32)
        logits[:, classes] = fitted.logits(samples.features[held_out])
        yield held_out, logits
