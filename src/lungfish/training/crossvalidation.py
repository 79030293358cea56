"""Top-1 by cross-validation on cached features: what few photos can say of themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungfish.training.probe import Head, Samples, fit_penalty


def cross_validate(samples: Samples, groups: NDArray[np.int64], head: Head, folds: int, seed: int) -> tuple[float, ...]:
    """Top-1 of each fold under a head fitted on the others, at the penalty and weighting of `head`.

    Args:
        samples: all photos, of every split.
        groups: int `[n]`; photos of one group (near-duplicates, a person) stay in one fold.
        head: the head that ships.
        folds: at most as many as the smallest class has groups.
        seed: of the shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    scores = []
    for train, held_out in splitter.split(samples.features, samples.labels, groups):
        classes, labels = np.unique(samples.labels[train], return_inverse=True)  # a fold may hold all of a rare class
        fitted = fit_penalty(Samples(samples.features[train], labels), head.penalty, balanced=head.balanced)
        answers = classes[fitted.logits(samples.features[held_out]).argmax(axis=1)]
        scores.append(float((answers == samples.labels[held_out]).mean()))
    return tuple(scores)
