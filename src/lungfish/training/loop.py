"""The training loop, for every stage that trains by gradient descent. One step of it is in `train_step`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import WorkerError
from lungfish.core.events import EpochEnded
from lungfish.core.files import write_atomic
from lungfish.core.progress import Progress
from lungfish.evaluation.stage_result import Score
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.group import Group
from lungfish.training.memory import kept_memory
from lungfish.training.saving import Saver
from lungfish.training.schedule import Schedule
from lungfish.training.stage_settings import Tuning
from lungfish.training.state import State
from lungfish.training.stopping import StopsBetweenSteps
from lungfish.training.train_step import Batch, Positions, StepContext, parts_of, train_step

if TYPE_CHECKING:
    from torch import Tensor, nn

Validate = Callable[["nn.Module"], Score]


class Batches(Protocol):
    """Training photos. Batches depend on the arguments only, so that a run can resume anywhere."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every photo."""
        ...

    def __call__(self, epoch: int, chunks: Sequence[Positions], /) -> Iterator[Batch]:
        """Yield a batch for each chunk of positions; a chunk may be empty.

        A batch has inputs `[n, ...]`, and class indices, int64 `[n]`, or probabilities, float32 `[n, classes]`.
        """
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """Context of a run.

    Args:
        name: Name of the stage, for display.
        seed: Seed for the order of the photos and for dropout.
        class_weight: Weight of each class in the loss, float32 `[classes]`; None to weight all photos equally.
        group: Processes that train together.
        checkpoints: Checkpoints of the run, which resumes from the newest; None to keep none.
        journal: File that receives a JSON object after each epoch, or None.
        areas: Area of each epoch's images if they differ, to predict the time of an epoch; empty otherwise.
        bfloat16: Whether to use autocast to bfloat16.
        compiled: Whether to use torch.compile.
        deadline: Time on the clock of `time.monotonic`; no epoch begins that would end later.
        progress: Receives every step; its stop token is checked between steps.
        val_top1_before: Share of right answers on validation photos before the run; None for an untrained network.
    """

    name: str = "training"
    seed: int = 0
    class_weight: Tensor | None = None
    group: Group = field(default_factory=Group)
    checkpoints: Checkpoints | None = None
    journal: Path | None = None
    areas: Sequence[float] = ()
    bfloat16: bool = False
    compiled: bool = False
    deadline: float = math.inf
    progress: Progress = field(default_factory=Progress)
    val_top1_before: float | None = None

    def note(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write the journal, if there is one.

        Raises:
            StorageError: The journal cannot be written.
        """
        if self.journal and self.group.is_main:
            write_atomic(self.journal, "".join(f"{json.dumps(row)}\n" for row in history))

    def noted(self) -> list[dict[str, Any]]:
        """Return the rows of the journal; empty without one."""
        lines = self.journal.read_text("utf-8").splitlines() if self.journal and self.journal.exists() else []
        return [json.loads(line) for line in lines]


@dataclass(frozen=True, eq=False)
class FitResult:
    """Result of a run.

    Args:
        tensors: Parameters and statistics of the moving average after the best epoch, by name.
        last: Those after the last epoch.
        score: Validation score of `tensors`.
        best_epoch: Number of the best epoch, from 0; None if there was no time for one.
        history: JSON object of each epoch.
        stopped: Why the run ended: `epochs`, `patience` or `minutes`.
    """

    tensors: Mapping[str, Tensor]
    last: Mapping[str, Tensor]
    score: Score
    best_epoch: int | None
    history: tuple[Mapping[str, Any], ...]
    stopped: str


def fit(network: nn.Sequential, batches: Batches, validate: Validate, tuning: Tuning, run: Run) -> FitResult:
    """Train `network` in place, and return the moving averages of the best and the last epoch.

    The learning rate warms up, then falls along a cosine. The best epoch is that with the lowest validation loss of the
    moving average.

    Args:
        network: Layers from inputs to logits, on the group's device.
        batches: Training photos.
        validate: Function that scores a network on validation photos.
        tuning: Settings of the recipe.
        run: Context of the run.

    Raises:
        DivergedError: The loss is not finite; the message names the step and the likely cause.
        UsageError: The run to resume belongs to another job.
        StorageError: A checkpoint cannot be written.
        StoppedError: The caller asked the run to stop; its state is saved.
    """
    import torch

    group, photos = run.group, len(batches.labels)
    epoch_steps = math.ceil(photos / tuning.batch_size)
    schedule = Schedule(tuning.learning_rate, tuning.warmup_fraction, tuning.epochs * epoch_steps)
    state = State(network, tuning, group)
    if run.checkpoints and (saved := group.broadcast(run.checkpoints.latest() if group.is_main else None)):
        state.restore(saved)
    context = _context(network, batches.labels, tuning, schedule, run)
    history, meter = state.history, state.meter

    with (
        torch.random.fork_rng(devices=[group.device] if group.device.startswith("cuda") else []),
        run.progress.task(run.name, tuning.epochs * photos, state.step * photos // epoch_steps) as advance,
        StopsBetweenSteps(run.progress.stop) as stops,
        stops.excusing(WorkerError),
        kept_memory(group.device),
    ):
        saver = Saver(state, run.checkpoints, group, stops)
        while not (why := group.broadcast(_why_stop(state, schedule, epoch_steps, tuning, run))):
            epoch, first = divmod(state.step, epoch_steps)
            order = np.random.default_rng((run.seed, epoch)).permutation(photos)
            steps = [np.sort(positions) for positions in np.array_split(order, epoch_steps)[first:]]
            chunks = [group.share(part) for step in steps for part in parts_of(step, tuning)]
            _training_mode(network, tuning)
            meter.start()
            with closing(_on_device(batches(epoch, chunks), group.device)) as data:
                for positions in steps:
                    train_step(state, context, data, positions)
                    advance(len(positions))
                    last = state.step % epoch_steps == 0
                    if meter.flush(last=last) and not last and saver.save_if_due(epoch_ended=False):
                        meter.start()
            began = time.monotonic()
            with state.average.applied():
                score = group.broadcast(validate(network))
            row = meter.end_epoch(epoch, score)
            history.add(score, row | {"seconds": row["seconds"] + time.monotonic() - began})
            run.note(history.rows)
            run.progress.emit(EpochEnded(run.name, tuning.epochs, **row, val_top1_before=run.val_top1_before))
            saver.save_if_due(epoch_ended=True)
        if not history.stopped:
            history.stopped = why
            saver.save()
    best, last_epoch = history.best, state.average.tensors
    return FitResult(best, last_epoch, history.score, history.best_epoch, tuple(history.rows), history.stopped)


def with_tensors(network: nn.Module, trained: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Load `tensors` into the trained part of a network, and return a copy of the network's state on the CPU."""
    trained.load_state_dict(tensors)
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _context(
    network: nn.Sequential, labels: NDArray[np.int64], tuning: Tuning, schedule: Schedule, run: Run
) -> StepContext:
    import torch

    model = run.group.wrap(network)
    if run.compiled:
        # one graph per shape: a dynamic one would be compiled at another step after a resume, and give other bits
        model = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    weight = run.class_weight
    return StepContext(
        model=model,
        tuning=tuning,
        schedule=schedule,
        group=run.group,
        photo_weight=np.ones(len(labels)) if weight is None else weight.numpy()[labels],
        class_weight=None if weight is None else weight.to(run.group.device),
        seed=run.seed,
        bfloat16=run.bfloat16,
    )


def _why_stop(state: State, schedule: Schedule, epoch_steps: int, tuning: Tuning, run: Run) -> str:
    """Return why no further epoch begins; empty if one begins or is under way."""
    history = state.history
    if history.stopped:
        return history.stopped
    if state.step >= schedule.steps:
        return "epochs"
    if state.step % epoch_steps:
        return ""
    if history.epochs_since_best >= tuning.patience and schedule.is_low(state.step):
        return "patience"
    epoch = len(history.rows)
    epoch_s = history.rows[-1]["seconds"] if epoch else 0.0
    if epoch and run.areas:
        epoch_s *= run.areas[epoch] / run.areas[epoch - 1]
    return "minutes" if time.monotonic() + epoch_s > run.deadline else ""


def _training_mode(network: nn.Module, tuning: Tuning) -> None:
    """Enable dropout; put the other layers in training mode only if batch norm learns its statistics."""
    from lungfish.nn.layers import Dropout

    network.train(tuning.batch_norm == "batch")
    for module in network.modules():
        if isinstance(module, Dropout):
            module.train()


def _on_device(batches: Iterator[Batch], device: str) -> Generator[Batch, None, None]:
    for inputs, targets in batches:
        yield inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
