"""The training loop: one function, read from top to bottom, for every recipe that follows gradients."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import WorkerError
from lungfish.core.files import write_atomic
from lungfish.core.progress import Progress, Silent
from lungfish.evaluation.stage_result import Score
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.group import Group
from lungfish.training.memory import kept_memory
from lungfish.training.meter import Meter
from lungfish.training.saving import Saves
from lungfish.training.stage_settings import Tuning
from lungfish.training.state import State, Tally
from lungfish.training.stopping import StopsBetweenSteps

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Positions = NDArray[np.int64]
Batch = tuple["Tensor", "Tensor"]
Validate = Callable[["nn.Module"], Score]
LOW_RATE = (
    0.1  # of the highest learning rate: only below it does patience end a run, for a high one hides what was learned
)
STEP_STREAM = 2  # random numbers of dropout, apart from those that order the photos


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
        progress: told of every step.
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
    progress: Progress = field(default_factory=Silent)

    def note(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write the journal, if there is one. Raises `StorageError`."""
        if self.journal and self.group.leads:
            write_atomic(self.journal, "".join(f"{json.dumps(row)}\n" for row in history))

    def noted(self) -> list[dict[str, Any]]:
        """What the journal holds."""
        lines = self.journal.read_text("utf-8").splitlines() if self.journal and self.journal.exists() else []
        return [json.loads(line) for line in lines]


@dataclass(frozen=True, eq=False)
class Fitted:
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


def fit(  # noqa: PLR0915  one function, to be read from top to bottom
    network: nn.Sequential, batches: Batches, validate: Validate, tuning: Tuning, run: Run
) -> Fitted:
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
    """
    import torch
    from torch.nn import functional as F

    group, labels = run.group, batches.labels
    epoch_steps = math.ceil(len(labels) / tuning.batch)
    photo_weight = np.ones(len(labels)) if run.class_weight is None else run.class_weight.numpy()[labels]
    class_weight = None if run.class_weight is None else run.class_weight.to(group.device)

    optimizer = optimizer_of(network, tuning)
    state = State(network, optimizer, pulled=tuning.pull > 0)
    if run.checkpoints and (saved := group.agree(run.checkpoints.latest() if group.leads else None)):
        state.restore(saved)
        state.tally = state.tally if group.leads else Tally()  # the first process has the others' share
    model = group.wrap(network)
    if run.compiled:
        # a graph for each shape: one that serves several, made on the way, would compute other bits after a resume
        model = torch.compile(model, dynamic=False)  # type: ignore[assignment]
    meter = Meter(state, group)

    with (
        torch.random.fork_rng(devices=[group.device] if group.device.startswith("cuda") else []),
        run.progress.task(run.name, tuning.epochs * len(labels), state.step * len(labels) // epoch_steps) as advance,
        StopsBetweenSteps() as signals,
        signals.excusing(WorkerError),
        kept_memory(group.device),
    ):
        saves = Saves(state, run.checkpoints, group, signals)
        while not (why := group.agree(_why_stop(state, epoch_steps, tuning, run))):
            epoch, first = divmod(state.step, epoch_steps)
            order = np.random.default_rng((run.seed, epoch)).permutation(len(labels))
            steps = [np.sort(positions) for positions in np.array_split(order, epoch_steps)[first:]]
            chunks = [group.share(part) for step in steps for part in _parts(step, tuning)]
            _training_mode(network, tuning)
            meter.start()
            with closing(_on_device(batches(epoch, chunks), group.device)) as data:
                for positions in steps:
                    torch.manual_seed(_step_seed(run.seed, state.step))
                    rate = tuning.learning_rate * _schedule(
                        (state.step + 0.5) / (tuning.epochs * epoch_steps), tuning.warm_up
                    )
                    for settings in optimizer.param_groups:
                        settings["lr"] = rate * settings["scale"]

                    optimizer.zero_grad()
                    parts = _parts(positions, tuning)
                    for number, part in enumerate(parts, 1):
                        inputs, targets = meter.wait(data)
                        _share_randomness(network, group, part)
                        with group.no_sync(model) if number < len(parts) else nullcontext():
                            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=run.bfloat16):
                                logits = model(inputs).float()
                            smoothing = tuning.label_smoothing
                            loss = F.cross_entropy(
                                logits, targets, class_weight, reduction="sum", label_smoothing=smoothing
                            )
                            # a mean over the photos of all processes, and the group takes the mean of its gradients
                            (loss * (group.size / photo_weight[positions].sum())).backward()
                        meter.add(rate, inputs, logits, targets, loss)
                    if tuning.pull:
                        _pull(state, tuning.pull)
                    optimizer.step()
                    state.follow(min(tuning.average, (1 + state.step) / (10 + state.step)))  # the first steps soon fade
                    state.step += 1
                    advance(len(positions))

                    last = state.step % epoch_steps == 0
                    if meter.look(last=last) and not last and saves.if_due(epoch_ended=False):
                        meter.start()
            began = time.monotonic()
            with state.averaged():
                score = group.agree(validate(network))
            row = meter.row(epoch, rate, score)
            state.take(score, row | {"seconds": row["seconds"] + time.monotonic() - began})
            run.note(state.history)
            run.progress.say(f"{run.name}: {_in_words(row, tuning.epochs)}")
            saves.if_due(epoch_ended=True)
        if not state.stopped:
            state.stopped = why
            saves.now()
    return Fitted(state.best, state.average, state.score, state.best_epoch, tuple(state.history), state.stopped)


def with_tensors(network: nn.Module, trained: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a network after `tensors` are copied into the part of it that was trained; on the CPU."""
    trained.load_state_dict(tensors)
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def optimizer_of(network: nn.Sequential, tuning: Tuning) -> torch.optim.Optimizer:
    """Each layer with its own learning rate, relative to that of the last; biases and norms do not decay."""
    import torch

    layers = [layer for layer in network if any(True for _ in layer.parameters())]
    groups: list[dict[str, Any]] = []
    for height, layer in enumerate(reversed(layers)):
        scale = tuning.layer_decay**height
        matrices = [parameter for parameter in layer.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in layer.parameters() if parameter.ndim <= 1]
        groups += [
            {"params": parameters, "scale": scale, "weight_decay": decay}
            for parameters, decay in ((matrices, tuning.weight_decay), (vectors, 0.0))
            if parameters
        ]
    if tuning.optimizer == "sgd":
        return torch.optim.SGD(groups, tuning.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, tuning.learning_rate, fused=True)


def _parts(step: Positions, tuning: Tuning) -> list[Positions]:
    """What goes through the network at once; two photos at least, of which batch norm can take statistics."""
    return np.array_split(step, max(1, min(tuning.accumulate, len(step) // 2)))


def _why_stop(state: State, epoch_steps: int, tuning: Tuning, run: Run) -> str:
    """Why no further epoch begins; empty if one does, or goes on."""
    if state.stopped:
        return state.stopped
    if state.step >= tuning.epochs * epoch_steps:
        return "epochs"
    if state.step % epoch_steps:
        return ""
    share = _schedule(state.step / (tuning.epochs * epoch_steps), tuning.warm_up)
    if state.stale >= tuning.patience and share <= LOW_RATE:
        return "patience"
    epoch = len(state.history)
    epoch_s = state.history[-1]["seconds"] if epoch else 0.0
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


def _share_randomness(network: nn.Module, group: Group, part: Positions) -> None:
    """Let every process drop what one process alone would drop of its photos."""
    from lungfish.nn.layers import Dropout, DropPath

    if group.size == 1:
        return
    first = sum(len(share) for share in np.array_split(part, group.size)[: group.rank])
    for module in network.modules():
        if isinstance(module, Dropout | DropPath):
            module.share = (first, len(part))


def _on_device(batches: Iterator[Batch], device: str) -> Generator[Batch, None, None]:
    for inputs, targets in batches:
        yield inputs.to(device, non_blocking=True), targets.to(device, non_blocking=True)


def _schedule(done: float, warm_up: float) -> float:
    """Share of the full learning rate after a share of the steps: a line up, and half a cosine down."""
    return min(1.0, done / warm_up if warm_up else 1.0) * 0.5 * (1 + math.cos(math.pi * done))


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step, STEP_STREAM)).generate_state(1, np.uint64)[0])


def _pull(state: State, strength: float) -> None:
    """Add the gradient of the squared distance to where training started: L2-SP, arXiv:1802.01483."""
    import torch

    with torch.no_grad():
        for name, parameter in state.parameters.items():
            assert parameter.grad is not None
            parameter.grad.add_(parameter - state.start[name], alpha=2 * strength)


def _in_words(row: Mapping[str, Any], epochs: int) -> str:
    return (
        f"epoch {row['epoch'] + 1} of {epochs}: loss {row['loss']:.3f}, validation {row['val_loss']:.3f} and "
        f"{100 * row['val_top1']:.1f} % right; {row['images_per_s']:.0f} images/s, "
        f"{100 * row['data_wait']:.0f} % waiting"
    )
