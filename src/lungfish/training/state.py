"""All that changes while a network trains: to a checkpoint and back, to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lungfish.evaluation.stage_result import Score
from lungfish.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

UNSCORED = Score(math.inf, 0.0)  # before the first epoch


@dataclass
class Tally:
    """Sums over the steps of an epoch so far, in this process."""

    loss: float = 0.0
    right: int = 0
    photos: int = 0
    waited_s: float = 0.0
    seconds: float = 0.0


@dataclass(eq=False)
class State:
    """A run between two steps.

    Random numbers are not part of it: those of a step come from the seed and its number alone.

    Args:
        network: being trained.
        optimizer: of its parameters.
        score: of the best epoch; infinite loss until the first one ends.
        pulled: whether the starting point is needed.
        step: how many steps are done.
        best_epoch: the one whose average is the best; None until the first one ends.
        stopped: why it ended, if it did.
        history: a row for each epoch.
        tally: of the epoch that is under way.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    score: Score = UNSCORED
    pulled: bool = False
    step: int = 0
    best_epoch: int | None = None
    stopped: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.tensors = self.network.state_dict()  # parameters and batch norm's statistics; writing to them counts
        self.parameters = dict(self.network.named_parameters())
        self.start = self.copied() if self.pulled else {}
        self.average = self.copied()
        self.best = self.copied()

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return len(self.history) - (0 if self.best_epoch is None else self.best_epoch + 1)

    def copied(self) -> dict[str, Tensor]:
        """Copies of the tensors as they are."""
        return {name: tensor.detach().clone() for name, tensor in self.tensors.items()}

    def follow(self, keep: float) -> None:
        """Move the average towards the tensors: `keep` of it stays."""
        from torch.optim.swa_utils import get_ema_multi_avg_fn

        numbers = [name for name, tensor in self.tensors.items() if tensor.is_floating_point()]
        averages, live = ([of[name] for name in numbers] for of in (self.average, self.tensors))
        average = get_ema_multi_avg_fn(keep)  # type: ignore[no-untyped-call]
        average(averages, live, None)  # all at once: a launch for each is slow on a GPU
        for name in self.tensors.keys() - numbers:  # batch norm's counts of batches
            self.average[name].copy_(self.tensors[name])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with the average for its tensors."""
        live = self.copied()
        self._assign(self.average)
        try:
            yield
        finally:
            self._assign(live)

    def take(self, score: Score, row: Mapping[str, Any]) -> None:
        """End an epoch; the average is the best so far if its loss on validation is."""
        self.history.append(dict(row))
        self.tally = Tally()
        if score.loss < self.score.loss:
            self.score, self.best_epoch = score, len(self.history) - 1
            self.best = {name: tensor.clone() for name, tensor in self.average.items()}

    def checkpoint(self, tally: Tally) -> Checkpoint:
        """All of it, with the tally of all processes."""
        groups = {"network": self.copied(), "start": self.start, "average": self.average, "best": self.best}
        tensors = {f"{kind}/{name}": tensor.cpu() for kind, of in groups.items() for name, tensor in of.items()}
        for name, parameter in self.parameters.items():
            memory = self.optimizer.state[parameter]
            tensors |= {f"optimizer/{name}/{key}": value.cpu() for key, value in memory.items()}
        notes = {
            "score": asdict(self.score),
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "history": self.history,
            "tally": asdict(tally),
        }
        return Checkpoint(self.step, tensors, notes)

    def restore(self, saved: Checkpoint) -> None:
        import torch

        def like(tensor: Tensor, value: Tensor) -> Tensor:  # its device and its memory layout, too
            return torch.empty_like(tensor, requires_grad=False).copy_(value)

        def of(kind: str) -> dict[str, Tensor]:
            return {name: like(tensor, saved.tensors[f"{kind}/{name}"]) for name, tensor in self.tensors.items()}

        self._assign(of("network"))
        self.start = of("start") if self.pulled else {}
        self.average, self.best = of("average"), of("best")
        for name, parameter in self.parameters.items():
            prefix = f"optimizer/{name}/"
            self.optimizer.state[parameter] = {
                key.removeprefix(prefix): like(parameter, value) if value.ndim else value.to(parameter.device)
                for key, value in saved.tensors.items()
                if key.startswith(prefix)
            }
        notes = saved.notes
        self.step, self.best_epoch, self.history = saved.step, notes["best_epoch"], list(notes["history"])
        self.stopped = notes["stopped"]
        self.score, self.tally = Score(**notes["score"]), Tally(**notes["tally"])

    def _assign(self, tensors: Mapping[str, Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(tensors[name])
