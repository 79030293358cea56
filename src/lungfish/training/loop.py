"""The training loop, read from top to bottom, for every recipe that follows gradients; its step is in `train_step`."""

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
    """Training photos. What comes out depends on the arguments alone, so that a run can go on from anywhere."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class index of every photo."""
        ...

    def __call__(self, epoch: int, chunks: Sequence[Positions], /) -> Iterator[Batch]:
        """For each chunk of positions in turn, which may be empty: inputs `[n, ...]`, and class indices, int64 `[n]`,
        or probabilities, float32 `[n, classes]`."""
        ...


@dataclass(frozen=True, eq=False)
class Run:
    """What surrounds a run.

    Args:
        name: of the step, for a person.
        seed: of the order of the photos and of dropout.
        class_weight: float32 `[classes]`, or None if every photo weighs the same.
        group: the processes that train together.
        checkpoints: where the run is kept, or None; it goes on from the newest there.
        journal: a file to write a JSON object for each epoch to, as they come, or None.
        areas: of each epoch's images, where they differ: an epoch takes longer in proportion.
        bfloat16: whether products are rounded to it.
        compiled: whether steps go through torch.compile.
        deadline: of `time.monotonic`; no epoch begins that would not end before it.
        progress: Receives every step; its stop token is checked between steps.
        val_top1_before: Share of right answers on validation photos before the run; None if there is nothing yet.
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
        """Write the journal, if there is one. Raises `StorageError`."""
        if self.journal and self.group.is_main:
            write_atomic(self.journal, "".join(f"{json.dumps(row)}\n" for row in history))

    def noted(self) -> list[dict[str, Any]]:
        """What the journal holds."""
        lines = self.journal.read_text("utf-8").splitlines() if self.journal and self.journal.exists() else []
        return [json.loads(line) for line in lines]


@dataclass(frozen=True, eq=False)
class FitResult:
    """What came out.

    Args:
        tensors: parameters and statistics of the best epoch's moving average, by name.
        last: those of the last epoch.
        score: of these on validation photos.
        best_epoch: which one it was; None if the time was too short for one.
        history: a JSON object for each epoch.
        stopped: why there are no more: `epochs`, `patience` or `minutes`.
    """

    tensors: Mapping[str, Tensor]
    last: Mapping[str, Tensor]
    score: Score
    best_epoch: int | None
    history: tuple[Mapping[str, Any], ...]
    stopped: str


def fit(network: nn.Sequential, batches: Batches, validate: Validate, tuning: Tuning, run: Run) -> FitResult:
    """Train `network` in place; the epoch with the least loss on validation is what counts.

    The learning rate warms up, then falls along a cosine. What is validated and returned is a moving average.

    Args:
        network: inputs to logits, layer by layer, on the group's device.
        batches: training photos.
        validate: scores a network on validation photos.
        tuning: of the recipe.
        run: what surrounds it.

    Raises:
        DivergedError: the loss is not finite; says at which step, and the likely cause.
        UsageError: resumed as another job than it was.
        StorageError: a checkpoint cannot be written.
        StoppedError: the caller asked for it; the run is saved.
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
    """Return the state of a network after `tensors` are copied into the part of it that was trained; on the CPU."""
    trained.load_state_dict(tensors)
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _context(
    network: nn.Sequential, labels: NDArray[np.int64], tuning: Tuning, schedule: Schedule, run: Run
) -> StepContext:
    import torch

    model = run.group.wrap(network)
    if run.compiled:
        # a graph for each shape: one that serves several, made on the way, would compute other bits after a resume
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
    """Why no further epoch begins; empty if one does, or goes on."""
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
    """Dropout on. Unless batch norm learns its statistics, that and stochastic depth are as at inference."""
    from lungfish.nn.layers import Dropout

    network.train(tuning.batch_norm == "batch")
    for module in network.modules():
        if isinstance(module, Dropout):
            module.train()


def _on_device(batches: Iterator[Batch], device: str) -> Generator[Batch, None, None]:
    for inputs, targets in batches:
        yield inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)
