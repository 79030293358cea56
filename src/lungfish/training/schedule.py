"""The learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Patience may end a run only once the learning rate is below this share of the highest; a higher rate hides progress.
LOW_SHARE = 0.1


@dataclass(frozen=True)
class Schedule:
    """Linear warmup, times a cosine decay to zero.

    The rate depends only on the number of the step, so there is no state to save.

    Args:
        learning_rate: Highest learning rate, of the last layer.
        warmup_fraction: Share of the steps in which the learning rate rises.
        steps: Optimizer steps of the run.
    """

    learning_rate: float
    warmup_fraction: float
    steps: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, taken at its middle."""
        return self.learning_rate * self.share(step + 0.5)

    def share(self, done: float) -> float:
        """Return the learning rate after `done` steps, as a share of the highest."""
        done /= self.steps
        risen = min(1.0, done / self.warmup_fraction if self.warmup_fraction else 1.0)
        return risen * 0.5 * (1 + math.cos(math.pi * done))

    def is_low(self, done: float) -> bool:
        """Return whether the learning rate after `done` steps is low enough to judge progress."""
        return self.share(done) <= LOW_SHARE
