"""Define the result of one stage of a job, for the stage, the report and the JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Score:
    """Figures of a network on validation photos: mean cross-entropy in nats, and share of correct answers."""

    loss: float
    top1: float


@dataclass(frozen=True)
class Gain:
    """The decrease of the loss from one network to another.

    Args:
        mean: Mean decrease over the photos, in nats; above 0 if the network is better.
        error: Standard error of the mean, with the photos of a scene treated as one cluster; infinite with one scene.
        photos: Number of compared photos.
    """

    mean: float
    error: float
    photos: int

    def is_clear(self, errors: float) -> bool:
        """Return whether the mean is at least `errors` standard errors above 0."""
        return self.mean > 0 and self.mean >= errors * self.error

    def to_json(self) -> dict[str, float | None]:
        """Return a JSON object; its `error` is null if it is infinite."""
        return {"mean": self.mean, "error": self.error if math.isfinite(self.error) else None, "photos": self.photos}


@dataclass(frozen=True)
class StageResult:
    """The result of one stage of a job; a row of the job's `candidates`.

    Args:
        recipe: `probe`, `finetune` or `full`.
        val: Loss and top-1 on validation photos; None if the stage was skipped or left out.
        seconds: Wall-clock time of the stage; for the probe, since the start of the job.
        kept: Whether the job continued from its result.
        why: Why it was kept, discarded or skipped, in words.
        settings: Settings of the stage, as adapted to the available time.
        share: Share of the way from the head stage's weights to the trained ones; 1 for the trained ones.
        gain: Decrease of the loss on the photos that the decision was based on; None if nothing was compared.
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
