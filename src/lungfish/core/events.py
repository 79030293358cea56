"""What happens in a job, as data: whoever started it may listen.

A listener is called with each event, in order, in the thread of the job. No result depends on one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

LONG_WAIT = 0.1  # of the time: below it, nobody needs to do anything about it


@dataclass(frozen=True)
class Event:
    """Something that happened; `kind` is its name in JSON."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the event as a JSON object: its kind under `event`, then its fields."""
        return {"event": self.kind} | asdict(self)


@dataclass(frozen=True)
class StageStarted(Event):
    """Work of a known size begins.

    Args:
        stage: Its name, for people.
        total: Units of work: photos, or bytes where the name says so; 0 if that is not known.
        done: Units that an earlier process did.
    """

    kind = "stage_started"
    stage: str
    total: int
    done: int


@dataclass(frozen=True)
class Advanced(Event):
    """Some of the work is done.

    Args:
        stage: Its name.
        total: Units of work.
        done: Units done so far, those of an earlier process included.
    """

    kind = "advanced"
    stage: str
    total: int
    done: int


@dataclass(frozen=True)
class StageEnded(Event):
    """Work has ended.

    Args:
        stage: Its name.
        total: Units of work.
        done: Units done, those of an earlier process included.
        seconds: How long this process took.
        completed: Whether it ended by itself, not by an error or a stop.
    """

    kind = "stage_ended"
    stage: str
    total: int
    done: int
    seconds: float
    completed: bool


@dataclass(frozen=True)
class EpochEnded(Event):
    """A pass over the training photos has ended, and the network was validated.

    Args:
        stage: Name of the stage.
        epochs: How many the stage has at most.
        epoch: Which one ended, from 0.
        loss: Mean training loss, in nats.
        top1: Share of right answers in training.
        val_loss: Mean loss on validation photos, in nats.
        val_top1: Share of right answers on validation photos.
        learning_rate: Of the last step.
        images_per_s: Training photos in a second.
        data_wait: Share of the time that steps waited for photos.
        seconds: How long the steps took.
        val_top1_before: `val_top1` before the stage began; None if it started from nothing.
    """

    kind = "epoch_ended"
    stage: str
    epochs: int
    epoch: int
    loss: float
    top1: float
    val_loss: float
    val_top1: float
    learning_rate: float
    images_per_s: float
    data_wait: float
    seconds: float
    val_top1_before: float | None = None

    def __str__(self) -> str:
        before = "" if self.val_top1_before is None else f" (before this stage: {100 * self.val_top1_before:.1f} %)"
        waiting = f", {100 * self.data_wait:.0f} % of the time waiting for them" if self.data_wait >= LONG_WAIT else ""
        return (
            f"{self.stage}: epoch {self.epoch + 1} of {self.epochs}, {100 * self.val_top1:.1f} % of validation photos "
            f"right{before}; loss {self.loss:.3f} in training, {self.val_loss:.3f} on validation; "
            f"{self.images_per_s:.0f} photos/s{waiting}"
        )


@dataclass(frozen=True)
class Logged(Event):
    """News for people, in one or more lines."""

    kind = "logged"
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Warned(Event):
    """A warning: the job continues, but someone should know about this or change it."""

    kind = "warned"
    text: str

    def __str__(self) -> str:
        return self.text


Listener = Callable[[Event], object]
