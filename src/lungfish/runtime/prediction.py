"""The prediction for one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidate:
    """A class and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The prediction for one picture.

    Args:
        file: The path as given; None for a picture in memory.
        label: The most probable class; None if the picture could not be read.
        probability: Probability of `label`, 0 to 1.
        known: Whether `probability` reaches the bundle's threshold; if not, the picture may show none of the classes.
        top: The most probable classes, best first.
        error: Why the picture could not be read; None if it could.
    """

    file: str | None
    label: str | None = None
    probability: float | None = None
    known: bool | None = None
    top: tuple[Candidate, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def rank(
    file: str | None, probabilities: NDArray[np.float32], labels: Sequence[str], threshold: float, top: int
) -> Prediction:
    """Return the prediction for one picture from its probabilities.

    Args:
        file: Path of the picture.
        probabilities: float32 `[classes]`.
        labels: Class names, in class order.
        threshold: Lowest probability at which a prediction counts as known.
        top: Number of classes to list.
    """
    order = np.argsort(-probabilities, kind="stable")[: max(top, 1)]
    best = tuple(Candidate(labels[i], float(probabilities[i])) for i in order)
    first = best[0]
    return Prediction(file, first.label, first.probability, first.probability >= threshold, best[:top])
