"""What a run measures of itself: loss, right answers, time, and the share of it that steps wait for data."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from lungfish.core.errors import DivergedError
from lungfish.evaluation.stage_result import Score
from lungfish.training.group import Group
from lungfish.training.state import State

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
LOOK_EVERY = 16  # steps of an accelerator, which each look waits for


class Meter:
    """Adds up what steps tell. On an accelerator numbers are looked at now and then, for a look waits for it.

    Args:
        state: its tally is filled.
        group: of the run.
    """

    def __init__(self, state: State, group: Group) -> None:
        self._state, self._group = state, group
        self._every = 1 if group.device == "cpu" else LOOK_EVERY
        self._unseen: list[tuple[int, float, Tensor]] = []  # step, learning rate, loss and right answers
        self._inputs: Tensor | None = None
        self._began = time.perf_counter()

    def start(self) -> None:
        """Time runs from here: at the beginning of an epoch, and after what is no step."""
        self._began = time.perf_counter()

    def wait(self, data: Iterator[T]) -> T:
        """The next batch; the time until it is there counts as waiting."""
        began = time.perf_counter()
        batch = next(data)
        self._state.tally.waited_s += time.perf_counter() - began
        return batch

    def add(self, rate: float, inputs: Tensor, logits: Tensor, targets: Tensor, loss: Tensor) -> None:
        """A part of the step under way.

        Args:
            rate: the learning rate.
            inputs: of this process.
            logits: of these.
            targets: class indices `[n]` or probabilities `[n, classes]`.
            loss: summed over the photos.
        """
        import torch

        truth = targets if targets.ndim == 1 else targets.argmax(dim=1)
        numbers = torch.stack([loss.detach(), (logits.argmax(dim=1) == truth).sum()])
        self._unseen.append((self._state.step, rate, numbers))
        self._inputs = inputs
        self._state.tally.photos += len(inputs)

    def look(self, *, last: bool) -> bool:
        """After a step, see to the numbers if it is time; whether it was.

        Args:
            last: whether the step was the last one of its epoch.

        Raises:
            DivergedError: the loss is not finite; says at which step, and the likely cause.
        """
        tally = self._state.tally
        if not last and self._state.step % self._every:
            return False
        for step, rate, numbers in self._unseen:
            loss, right = numbers.tolist()
            if not math.isfinite(loss):
                raise _diverged(step, rate, self._inputs)
            tally.loss += loss
            tally.right += int(right)
        self._unseen.clear()
        now = time.perf_counter()  # an accelerator has ended these steps
        tally.seconds += now - self._began
        self._began = now
        return True

    def row(self, epoch: int, rate: float, score: Score) -> dict[str, Any]:
        """A JSON object of the epoch: means over all processes, speed, the share of time that steps waited.

        Raises:
            DivergedError: the loss on validation photos is not finite.
        """
        if not math.isfinite(score.loss):
            raise _diverged(self._state.step, rate, self._inputs)
        tally = self._state.tally
        loss, right, photos = self._group.sum([tally.loss, tally.right, tally.photos])
        return {
            "epoch": epoch,
            "loss": loss / photos,
            "top1": right / photos,
            "val_loss": score.loss,
            "val_top1": score.top1,
            "learning_rate": rate,
            "images_per_s": photos / tally.seconds,
            "data_wait": tally.waited_s / tally.seconds,
            "seconds": tally.seconds,
        }


def _diverged(step: int, rate: float, inputs: Tensor | None) -> DivergedError:
    finite = inputs is None or not inputs.is_floating_point() or bool(inputs.isfinite().all())
    if finite:
        cause, hint = f"the learning rate, {rate:.2g} here, is too high", "Lower learning_rate in the recipe."
    else:
        cause = "an input is not finite"
        hint = "Activations may not fit 16 bits, or the cache be damaged: leave [finetune] out, or empty the cache."
    return DivergedError(f"the loss is not a finite number at step {step}: {cause}", hint)
