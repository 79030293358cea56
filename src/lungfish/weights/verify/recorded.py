"""Read logits recorded when weights were verified against their reference, for machines without that library."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from lungfish.weights.entry import WeightsEntry

RECORDED = "recorded logits"


@dataclass(frozen=True, eq=False)
class RecordedLogits:
    """The largest logits of one golden picture: class indices, and the logits as float32."""

    classes: NDArray[np.int64]
    logits: NDArray[np.float32]


def recorded_logits(entry: WeightsEntry) -> list[RecordedLogits] | None:
    """Return the logits of the golden pictures, ordered by picture name; None if this exact file has none recorded."""
    text = resources.files("lungfish.weights").joinpath("recorded_logits.json").read_text("utf-8")
    row = json.loads(text).get(entry.name)
    if row is None or row["sha256"] != entry.sha256:
        return None
    return [
        RecordedLogits(np.array(list(map(int, picture))), np.array(list(picture.values()), np.float32))
        for picture in row["pictures"]
    ]
