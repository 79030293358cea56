"""Record the epochs of a run, and keep the weights of the best one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lungfish.evaluation.stage_result import Score
from lungfish.training.moving_average import MovingAverage, copied

BEST = "best/"


class History:
    """A row for each epoch, and the moving average after the best one.

    Args:
        average: Moving average of the network in training.

    Attributes:
        rows: JSON object of each epoch.
        score: Score of the best epoch; its loss is infinite until the first epoch ends.
        best_epoch: Number of the best epoch, from 0; None until the first epoch ends.
        best: Tensors of the moving average after the best epoch.
        stopped: Why the run ended; empty until it does.
    """

    def __init__(self, average: MovingAverage) -> None:
        self._average = average
        self.rows: list[dict[str, Any]] = []
        self.score, self.stopped = Score(math.inf, 0.0), ""
        self.best_epoch: int | None = None
        self.best = copied(average.tensors)

    @property
    def epochs_since_best(self) -> int:
        """Number of epochs since the best one."""
        return len(self.rows) - (0 if self.best_epoch is None else self.best_epoch + 1)

    def add(self, score: Score, row: Mapping[str, Any]) -> None:
        """Add an epoch, and keep the moving average if its validation loss is the lowest so far."""
        self.rows.append(dict(row))
        if score.loss < self.score.loss:
            self.score, self.best_epoch = score, len(self.rows) - 1
            self.best = copied(self._average.tensors)

    def state_dict(self) -> dict[str, Any]:
        """Return the JSON values and the tensors of the best epoch."""
        best = {f"{BEST}{name}": tensor for name, tensor in self.best.items()}
        score = asdict(self.score)
        return best | {"rows": self.rows, "score": score, "best_epoch": self.best_epoch, "stopped": self.stopped}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved history."""
        self.rows, self.best_epoch, self.stopped = list(saved["rows"]), saved["best_epoch"], saved["stopped"]
        self.score = Score(**saved["score"])
        for name, tensor in self.best.items():
            tensor.copy_(saved[f"{BEST}{name}"])
