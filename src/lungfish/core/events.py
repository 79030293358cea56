"""Events that a job emits.

Listeners are called with each event, in order, in the thread of the job. No result depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

LONG_WAIT = 0.1  # share of the time spent waiting for photos; a smaller share is not worth mentioning


@dataclass(frozen=True)
class Event:
    """Base class of all events; `kind` is the name in JSON."""

    kind: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Return the event as a JSON object: its kind under `event`, then its fields."""
        return {"event": self.kind} | asdict(self)


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage has started.

    Args:
        stage: Name of the stage, for display.
        total: Units of work: photos, or bytes where the name says so; 0 if unknown.
        done: Units done by an earlier process.
    """

    kind = "stage_started"
    stage: str
    total: int
    done: int


@dataclass(frozen=True)
class Advanced(Event):
    """A stage has advanced.

    Args:
        stage: Name of the stage.
        total: Units of work.
        done: Units done so far, including those of an earlier process.
    """

    kind = "advanced"
    stage: str
    total: int
    done: int


@dataclass(frozen=True)
class StageEnded(Event):
    """A stage has ended.

    Args:
        stage: Name of the stage.
        total: Units of work.
        done: Units done, including those of an earlier process.
        seconds: Time that this process took.
        completed: Whether the stage completed, rather than being stopped or failing.
    """

    kind = "stage_ended"
    stage: str
    total: int
    done: int
    seconds: float
    completed: bool


@dataclass(frozen=True)
class EpochEnded(Event):
    """An epoch of training and its validation have ended.

    Args:
        stage: Name of the stage.
        epochs: Largest number of epochs of the stage.
        epoch: Index of the epoch, from 0.
        loss: Mean training loss, in nats.
        top1: Training accuracy, 0 to 1.
        val_loss: Mean validation loss, in nats.
        val_top1: Validation accuracy, 0 to 1.
        learning_rate: Learning rate of the last step.
        images_per_s: Training photos per second.
        data_wait: Share of the time spent waiting for photos, 0 to 1.
        seconds: Duration of the training steps.
        val_top1_before: `val_top1` before the stage began; None if the stage started from random weights.
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
    """A message for the user, of one or more lines."""

    kind = "logged"
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Warned(Event):
    """A warning that the user should read; the job continues."""

    kind = "warned"
    text: str

    def __str__(self) -> str:
        return self.text


Listener = Callable[[Event], object]
