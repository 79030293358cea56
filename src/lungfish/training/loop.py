"""The training loop: one function, read from top to bottom, for every recipe that follows gradients."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import DivergedError
from lungfish.core.progress import Progress, Silent
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.state import Score, State
from lungfish.training.stopping import StopsBetweenSteps
from lungfish.training.tuning import Tuning

if TYPE_CHECKING:
    from torch import Tensor, nn

Positions = NDArray[np.int64]
Validate = Callable[["nn.Module"], Score]
CHECKPOINT_EVERY_S = 20.0


class Batches(Protocol):
    """Training photos. What comes out depends on the arguments alone, so that a run can go on from anywhere."""

    def __len__(self) -> int:
        """How many photos there are."""
        ...

    def __call__(self, epoch: int, positions: Positions, /) -> tuple[Tensor, Tensor]:
        """Inputs, float32 `[n, ...]`, and class indices, int64 `[n]`, of the photos at `positions` in this epoch."""
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """What surrounds a run.

    Args:
        seed: of the order of the photos and of dropout.
        class_weight: float32 `[classes]`, or None if every photo weighs the same.
        checkpoints: where the run is kept, or None.
        resume: go on from the newest checkpoint.
        progress: told of every batch.
    """

    seed: int = 0
    class_weight: Tensor | None = None
    checkpoints: Checkpoints | None = None
    resume: bool = False
    progress: Progress = field(default_factory=Silent)

    def save(self, state: State) -> None:
        """Write a checkpoint, if the run is kept anywhere. Raises `StorageError`."""
        if self.checkpoints:
            self.checkpoints.save(state.checkpoint())


@dataclass(frozen=True, eq=False)
class Fitted:
    """What came out.

    Args:
        parameters: those of the best epoch's moving average, or the first ones if no epoch was better, by name.
        score: of these on validation photos.
        history: a JSON object for each epoch.
    """

    parameters: Mapping[str, Tensor]
    score: Score
    history: tuple[Mapping[str, Any], ...]


def fit(network: nn.Module, batches: Batches, validate: Validate, tuning: Tuning, run: Run) -> Fitted:
    """Train `network` in place; the epoch with the least loss on validation is what counts.

    Batch norm keeps its statistics, which small batches would spoil; dropout is on. The learning rate warms up, then
    falls along a cosine. What is validated and returned is a moving average of the parameters.

    Args:
        network: inputs to logits.
        batches: training photos.
        validate: scores a network on validation photos.
        tuning: of the recipe.
        run: what surrounds it.

    Raises:
        DivergedError: the loss is not finite; says at which step, and the likely cause.
        UsageError: resumed as another job than it was.
        StorageError: a checkpoint cannot be written.
    """
    import torch
    from torch.nn import functional as F

    epoch_steps = math.ceil(len(batches) / tuning.batch)
    optimizer = torch.optim.AdamW(network.parameters(), tuning.learning_rate, weight_decay=tuning.weight_decay)
    state = State(network, optimizer, validate(network))
    total = tuning.epochs * len(batches)
    with (
        torch.random.fork_rng(devices=[]),
        run.progress.task("Fine-tuning", total) as advance,
        StopsBetweenSteps() as stop,
    ):
        torch.manual_seed(run.seed)
        if run.resume and run.checkpoints and (saved := run.checkpoints.latest()):
            state.restore(saved)
        advance(min(len(batches) * state.step // epoch_steps, total))
        saved_at = time.monotonic()
        for epoch in range(state.step // epoch_steps, tuning.epochs):
            order = np.random.default_rng((run.seed, epoch)).permutation(len(batches))
            _training_mode(network)
            for batch in range(state.step % epoch_steps, epoch_steps):
                began = time.perf_counter()
                positions = np.sort(order[batch * tuning.batch : (batch + 1) * tuning.batch])
                inputs, labels = batches(epoch, positions)
                waited_s = time.perf_counter() - began

                rate = tuning.learning_rate * _schedule(state.step / (tuning.epochs * epoch_steps), tuning.warm_up)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                logits = network(inputs)
                loss = F.cross_entropy(logits, labels, run.class_weight, label_smoothing=tuning.label_smoothing)
                if tuning.pull:  # L2-SP, arXiv:1802.01483: towards where training started
                    moved = [
                        (parameter - state.start[name]).square().sum() for name, parameter in state.parameters.items()
                    ]
                    loss = loss + tuning.pull * torch.stack(moved).sum()
                if not math.isfinite(loss.item()):
                    raise _diverged(state.step, rate, inputs)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                state.follow(min(tuning.average, (1 + state.step) / (10 + state.step)))  # the first steps soon fade

                state.step += 1
                state.tally.loss += loss.item() * len(labels)
                state.tally.right += int((logits.argmax(dim=1) == labels).sum())
                state.tally.photos += len(labels)
                state.tally.waited_s += waited_s
                state.tally.seconds += time.perf_counter() - began
                advance(len(labels))
                if batch + 1 < epoch_steps and (stop.asked or time.monotonic() - saved_at > CHECKPOINT_EVERY_S):
                    run.save(state)
                    saved_at = time.monotonic()
                    stop.if_asked()
            with state.averaged():
                score = validate(network)
            state.take(score, state.tally.row(epoch, rate, score))
            run.save(state)
            stop.if_asked()
            if state.stale >= tuning.patience:
                break
    return Fitted(state.best, state.score, tuple(state.history))


def _training_mode(network: nn.Module) -> None:
    """Dropout on; batch norm and stochastic depth as at inference."""
    import torch

    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.train()


def _schedule(done: float, warm_up: float) -> float:
    """Share of the full learning rate after a share of the steps: a line up, and half a cosine down."""
    return min(1.0, done / warm_up if warm_up else 1.0) * 0.5 * (1 + math.cos(math.pi * done))


def _diverged(step: int, rate: float, inputs: Tensor) -> DivergedError:
    import torch

    cause = (
        f"the learning rate, {rate:.2g} here, is too high" if torch.isfinite(inputs).all() else "an input is not finite"
    )
    return DivergedError(
        f"the loss is not a finite number at step {step}: {cause}", "Lower learning_rate in the recipe."
    )
