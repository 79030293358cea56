"""One optimizer step of the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.training.group import Group
from lungfish.training.schedule import Schedule
from lungfish.training.stage_settings import Tuning
from lungfish.training.state import State

if TYPE_CHECKING:
    from torch import Tensor, nn

Positions = NDArray[np.int64]
Batch = tuple["Tensor", "Tensor"]
STEP_STREAM = 2  # random numbers for dropout, independent of those that order the photos


@dataclass(frozen=True, eq=False)
class StepContext:
    """Context shared by the steps of a run.

    Args:
        model: Network, wrapped for the group, and compiled if the run is.
        tuning: Settings of the recipe.
        schedule: Learning rates.
        group: Processes that train together.
        photo_weight: float64 `[n]`, weight of each training photo in the loss.
        class_weight: Weight of each class in the loss, float32 `[classes]` on the group's device; None to weight all
            photos equally.
        seed: Seed for dropout.
        bfloat16: Whether to use autocast to bfloat16.
    """

    model: nn.Module
    tuning: Tuning
    schedule: Schedule
    group: Group
    photo_weight: NDArray[np.float64]
    class_weight: Tensor | None
    seed: int
    bfloat16: bool


def train_step(state: State, context: StepContext, batches: Iterator[Batch], positions: Positions) -> None:
    """Take one optimizer step.

    Args:
        state: State of the run, changed in place.
        context: Context shared by the steps.
        batches: This process's share of each part of the step, in order.
        positions: int64 `[n]`, training photos of the step, over all processes.
    """
    import torch
    from torch.nn import functional as F

    tuning, group = context.tuning, context.group
    rate = context.schedule.rate(state.step)
    torch.manual_seed(_seed(context.seed, state.step))
    state.optimizer.zero_grad()
    parts = parts_of(positions, tuning)
    for number, part in enumerate(parts, 1):
        inputs, targets = state.meter.wait(batches)
        _share_randomness(state.network, group, part)
        with group.no_sync(context.model) if number < len(parts) else nullcontext():
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=context.bfloat16):
                logits = context.model(inputs).float()
            smoothing = tuning.label_smoothing
            loss = F.cross_entropy(logits, targets, context.class_weight, reduction="sum", label_smoothing=smoothing)
            # mean over the photos of all processes; `size` undoes the group's averaging of gradients
            (loss * (group.size / context.photo_weight[positions].sum())).backward()
        state.meter.add(state.step, rate, logits, targets, loss)
    state.l2_sp.add_gradients()
    if tuning.max_grad_norm:  # gradients are already averaged over the group
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), tuning.max_grad_norm)
    state.optimizer.step(rate)
    state.average.update(state.step)
    state.step += 1


def parts_of(positions: Positions, tuning: Tuning) -> list[Positions]:
    """Return the parts of a step, each with at least two photos, as the statistics of batch norm require."""
    return np.array_split(positions, max(1, min(tuning.grad_accum_steps, len(positions) // 2)))


def _share_randomness(network: nn.Module, group: Group, part: Positions) -> None:
    """Make every process drop what a single process would drop for the same photos."""
    from lungfish.nn.layers import Dropout, DropPath

    if group.size == 1:
        return
    first = sum(len(share) for share in np.array_split(part, group.size)[: group.rank])
    for module in network.modules():
        if isinstance(module, Dropout | DropPath):
            module.share = (first, len(part))


def _seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step, STEP_STREAM)).generate_state(1, np.uint64)[0])
