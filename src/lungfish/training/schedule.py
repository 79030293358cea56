"""The learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

# of the highest learning rate: only below it does patience end a run, for a high one hides what was learned
LOW_SHARE = 0.1


@dataclass(frozen=True)
class Schedule:
    """A line up, then half a cosine down. The rate depends on the number of the step alone: there is no state to save.

    Args:
        learning_rate: The highest, of the last layer.
        warmup_fraction: Share of the steps in which it rises.
        steps: Optimizer steps of the run.
    """

    learning_rate: float
    warmup_fraction: float
    steps: int

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: that at its middle."""
        return self.learning_rate * self.share(step + 0.5)

    def share(self, done: float) -> float:
        """Return the share of the highest learning rate after `done` steps."""
        done /= self.steps
        risen = min(1.0, done / self.warmup_fraction if self.warmup_fraction else 1.0)
        return risen * 0.5 * (1 + math.cos(math.pi * done))

    def is_low(self, done: float) -> bool:
        """Return whether the learning rate after `done` steps hides little of what was learned."""
        return self.share(done) <= LOW_SHARE
