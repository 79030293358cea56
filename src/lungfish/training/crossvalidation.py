"""Cross-validate the head on cached features, to measure a small dataset and find doubtful labels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch
from lungfish.training.probe import TOLERANCE, Head, LabelledFeatures, fit_penalty


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions for every photo by a head that was fitted without the photo and its group.

    Args:
        logits: float32 `[n, classes]` before the temperature; -inf for a class missing from the head's training photos.
        labels: int64 `[n]`, true classes.
        folds: int64 `[n]`, the fold in which each photo was held out, from 0.
        groups: int64 `[n]`; photos of one group are in one fold.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is right, bool `[n]`."""
        right: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return right

    @property
    def top1(self) -> tuple[float, ...]:
        """Accuracy in each fold."""
        return tuple(float(self.correct[self.folds == fold].mean()) for fold in np.unique(self.folds))

    def probabilities(self, temperature: float) -> NDArray[np.float32]:
        """Return the probabilities of a classifier with this temperature, float32 `[n, classes]`."""
        from scipy.special import softmax

        probabilities: NDArray[np.float32] = softmax(self.logits / np.float32(temperature), axis=1)
        return probabilities


def cross_validate(samples: LabelledFeatures, groups: NDArray[np.int64], head: Head, folds: int, seed: int) -> HeldOut:
    """Predict every photo with a head fitted on the other folds, at the penalty and class weights of `head`.

    Args:
        samples: All photos, of every split.
        groups: int `[n]`; photos of one group (near-duplicates, a person) stay in one fold.
        head: Head that ships.
        folds: Number of folds, at most the number of groups of the smallest class.
        seed: Seed for the assignment to folds.
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
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Return the photos of each fold, and their logits from a head that was fitted on the other folds.

    Args:
        samples: All photos, of every split.
        groups: int `[n]`; photos of one group stay in one fold.
        head: Head whose penalty and class weights are used.
        folds: Number of folds, at most the number of groups of the largest class.
        seed: Seed for the assignment to folds.
        tolerance: Gradient at which a fit stops.

    Returns:
        For each fold: int `[m]`, indices of its photos, and float32 `[m, classes]`, their logits before the
            temperature; -inf for a class that no other fold has.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer groups than folds
        splits = list(splitter.split(samples.features, samples.labels, groups))

    def fit(fold: tuple[NDArray[np.int64], NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        train, held_out = fold
        # not always all classes: one fold may have all photos of a rare one
        classes, labels = np.unique(samples.labels[train], return_inverse=True)
        seen = LabelledFeatures(samples.features[train], labels)
        fitted = fit_penalty(seen, head.penalty, balanced=head.balanced, tolerance=tolerance)
        logits = np.full((len(held_out), samples.labels.max() + 1), -np.inf, np.float32)
        logits[:, classes] = fitted.logits(samples.features[held_out])
        return held_out, logits

    cores = physical_cores()
    # One fold per thread. Each fit also limits threads and warnings, which are process-wide, then restores what it
    # found: the limits set here.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return list(prefetch(fit, splits, cores, cores))
