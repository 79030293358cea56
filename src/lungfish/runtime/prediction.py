"""What a bundle says of one picture."""

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
    """One row of `predict`.

    Args:
        file: the path as it was given; `None` for a picture that came from memory.
        label: the most probable class; `None` if the picture could not be read.
        probability: of `label`, 0 to 1.
        known: False if `probability` is below the bundle's threshold: perhaps none of the classes.
        top: the most probable classes, best first.
        error: why the picture could not be read; `None` if it could.
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
    """The row of one picture.

    Args:
        file: where the picture came from.
        probabilities: float32 `[classes]`.
        labels: in class order.
        threshold: probability from which the answer counts as known.
        top: how many classes to list.
    """
    order = np.argsort(-probabilities, kind="stable")[: max(top, 1)]
    best = tuple(Candidate(labels[i], float(probabilities[i])) for i in order)
    first = best[0]
    return Prediction(file, first.label, first.probability, first.probability >= threshold, best[:top])
