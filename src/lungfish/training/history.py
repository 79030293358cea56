"""The epochs of a run, and what the best one came to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lungfish.evaluation.stage_result import Score
from lungfish.training.moving_average import MovingAverage, copied

BEST = "best/"


class History:
    """A row for each epoch, and the average after the best one.

    Args:
        average: Of the network that is trained.

    Attributes:
        rows: A JSON object for each epoch.
        score: Of the best epoch; infinite loss until the first one ends.
        best_epoch: Its number, from 0; None until the first one ends.
        best: The average after it.
        stopped: Why the run ended, if it did.
    """

    def __init__(self, average: MovingAverage) -> None:
        self._average = average
        self.rows: list[dict[str, Any]] = []
        self.score, self.stopped = Score(math.inf, 0.0), ""
        self.best_epoch: int | None = None
        self.best = copied(average.tensors)

    @property
    def epochs_since_best(self) -> int:
        """Epochs since the best one."""
        return len(self.rows) - (0 if self.best_epoch is None else self.best_epoch + 1)

    def add(self, score: Score, row: Mapping[str, Any]) -> None:
        """End an epoch; the average is the best so far if its loss on validation is."""
        self.rows.append(dict(row))
        if score.loss < self.score.loss:
            self.score, self.best_epoch = score, len(self.rows) - 1
            self.best = copied(self._average.tensors)

    def state_dict(self) -> dict[str, Any]:
        """Return JSON values and the tensors of the best epoch."""
        best = {f"{BEST}{name}": tensor for name, tensor in self.best.items()}
        score = asdict(self.score)
        return best | {"rows": self.rows, "score": score, "best_epoch": self.best_epoch, "stopped": self.stopped}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue a saved history."""
        self.rows, self.best_epoch, self.stopped = list(saved["rows"]), saved["best_epoch"], saved["stopped"]
        self.score = Score(**saved["score"])
        for name, tensor in self.best.items():
            tensor.copy_(saved[f"{BEST}{name}"])
