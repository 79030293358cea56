"""Measure a run: loss, accuracy, time, and the share of the time that steps wait for data."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lungfish.core.errors import DivergedError
from lungfish.evaluation.stage_result import Score
from lungfish.training.group import Group

if TYPE_CHECKING:
    from torch import Tensor

FLUSH_EVERY = 16  # steps on an accelerator between two reads, each of which blocks


@dataclass
class Tally:
    """Sums over the steps of the current epoch, in this process."""

    loss: float = 0.0
    right: int = 0
    photos: int = 0
    waited_s: float = 0.0
    seconds: float = 0.0


class Meter:
    """Accumulates the measurements of steps. On an accelerator they are read only now and then, as each read blocks.

    Args:
        group: Processes that train together.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._every = 1 if group.device == "cpu" else FLUSH_EVERY
        self._tally = Tally()
        self._unseen: list[tuple[int, float, Tensor]] = []  # step, learning rate, loss and correct predictions
        self._inputs: Tensor | None = None
        self._step, self._rate = 0, 0.0  # of the last step
        self._began = time.perf_counter()

    def start(self) -> None:
        """Start the clock: at the beginning of an epoch, and after work that is not part of a step."""
        self._began = time.perf_counter()

    def wait(self, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return the next inputs and targets, and count the time until they arrive as waiting."""
        began = time.perf_counter()
        inputs, targets = next(batches)
        self._tally.waited_s += time.perf_counter() - began
        self._tally.photos += len(inputs)
        self._inputs = inputs
        return inputs, targets

    def add(self, step: int, rate: float, logits: Tensor, targets: Tensor, loss: Tensor) -> None:
        """Add a part of a step.

        Args:
            step: Number of the step.
            rate: Learning rate of the step.
            logits: float32 `[n, classes]`.
            targets: Class indices `[n]` or probabilities `[n, classes]`.
            loss: Loss, summed over the photos.
        """
        import torch

        truth = targets if targets.ndim == 1 else targets.argmax(dim=1)
        numbers = torch.stack([loss.detach(), (logits.argmax(dim=1) == truth).sum()])
        self._unseen.append((step, rate, numbers))
        self._step, self._rate = step, rate

    def flush(self, *, last: bool) -> bool:
        """Read the measurements if they are due, and return whether they were.

        Args:
            last: Whether the step was the last one of its epoch.

        Raises:
            DivergedError: The loss is not finite; the message names the step and the likely cause.
        """
        if not last and (self._step + 1) % self._every:
            return False
        for step, rate, numbers in self._unseen:
            loss, right = numbers.tolist()
            if not math.isfinite(loss):
                raise _diverged(step, rate, self._inputs)
            self._tally.loss += loss
            self._tally.right += int(right)
        self._unseen.clear()
        now = time.perf_counter()  # an accelerator has finished these steps
        self._tally.seconds += now - self._began
        self._began = now
        return True

    def end_epoch(self, epoch: int, score: Score) -> dict[str, Any]:
        """Return a JSON object of the epoch: means over all processes, speed, and the share of the time spent waiting.

        Raises:
            DivergedError: The validation loss is not finite.
        """
        if not math.isfinite(score.loss):
            raise _diverged(self._step + 1, self._rate, self._inputs)
        tally, self._tally = self._of_group(), Tally()
        return {
            "epoch": epoch,
            "loss": tally.loss / tally.photos,
            "top1": tally.right / tally.photos,
            "val_loss": score.loss,
            "val_top1": score.top1,
            "learning_rate": self._rate,
            "images_per_s": tally.photos / tally.seconds,
            "data_wait": tally.waited_s / tally.seconds,
            "seconds": tally.seconds,
        }

    def state_dict(self) -> dict[str, float]:
        """Return the sums of the whole group in this epoch; every process must call it."""
        return asdict(self._of_group())

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restore a saved epoch; the main process gets the sums of the whole group."""
        self._tally = Tally(**saved) if self._group.is_main else Tally()

    def _of_group(self) -> Tally:
        """Return the sums over the processes; times are those of this process."""
        loss, right, photos = self._group.sum([self._tally.loss, self._tally.right, self._tally.photos])
        return replace(self._tally, loss=loss, right=int(right), photos=int(photos))


def _diverged(step: int, rate: float, inputs: Tensor | None) -> DivergedError:
    finite = inputs is None or not inputs.is_floating_point() or bool(inputs.isfinite().all())
    if finite:
        cause, hint = f"the learning rate of {rate:.2g} is too high", "Lower learning_rate in the recipe."
    else:
        cause = "an input is not finite"
        hint = "Activations may overflow float16, or the cache is damaged: leave [finetune] out, or empty the cache."
    return DivergedError(f"the loss is not finite at step {step}: {cause}", hint)
