"""What became of one stage of a job: one type, from the stage to the report and the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """How well a network does on validation photos: mean cross-entropy in nats, and share of right answers."""

    loss: float
    top1: float


@dataclass(frozen=True)
class Gain:
    """How much lower the loss is than before.

    Args:
        mean: Mean over the photos of the fall in loss, in nats; above 0 if the network is better.
        error: Standard error of the mean; photos of one scene count as one draw. Infinite with one scene.
        photos: How many photos were compared.
    """

    mean: float
    error: float
    photos: int

    def is_clear(self, errors: float) -> bool:
        """Whether the mean is at least so many standard errors above 0."""
        return self.mean > 0 and self.mean >= errors * self.error

    def to_json(self) -> dict[str, float | None]:
        """Return a JSON object; its `error` is null if it is infinite."""
        return {"mean": self.mean, "error": self.error if math.isfinite(self.error) else None, "photos": self.photos}


@dataclass(frozen=True)
class StageResult:
    """What one stage of a job reached; a row of the job's `candidates`.

    Args:
        recipe: `probe`, `finetune` or `full`.
        val: Loss and top-1 on validation photos; None if the stage was skipped.
        seconds: Wall-clock time of the stage; for the probe, since the job began.
        kept: Whether the job continued from it.
        why: The reason, in words.
        settings: Settings of the stage, as the time allowed them.
        share: How far the weights moved from the head stage to the trained ones; 1 is all the way.
        gain: By how much the loss fell on the photos that decided; None if nothing was compared.
    """

    recipe: str
    val: Score | None
    seconds: float
    kept: bool
    why: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    share: float | None = None
    gain: Gain | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"gain": self.gain and self.gain.to_json()}
