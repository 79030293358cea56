"""All that changes while a network trains: to a checkpoint and back, to the bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lungfish.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Score:
    """How well a network does on validation photos: mean cross-entropy in nats, and share of right answers."""

    loss: float
    top1: float


@dataclass
class Tally:
    """Sums over the batches of an epoch so far."""

    loss: float = 0.0
    right: int = 0
    photos: int = 0
    waited_s: float = 0.0
    seconds: float = 0.0

    def row(self, epoch: int, learning_rate: float, score: Score) -> dict[str, Any]:
        """A JSON object of the epoch: means, speed, the share of time that steps waited for data."""
        return {
            "epoch": epoch,
            "loss": self.loss / self.photos,
            "top1": self.right / self.photos,
            "val_loss": score.loss,
            "val_top1": score.top1,
            "learning_rate": learning_rate,
            "images_per_s": self.photos / self.seconds,
            "data_wait": self.waited_s / self.seconds,
        }


@dataclass(eq=False)
class State:
    """A run between two steps.

    Args:
        network: being trained.
        optimizer: of its parameters.
        score: of the best epoch; of the start until an epoch is better.
        step: how many batches are done.
        stale: epochs since the best one.
        history: a row for each epoch.
        tally: of the epoch that is under way.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    score: Score
    step: int = 0
    stale: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.parameters = dict(self.network.named_parameters())
        self.start = self.copied()
        self.average = self.copied()
        self.best = self.copied()

    def copied(self) -> dict[str, Tensor]:
        """Copies of the parameters as they are."""
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def follow(self, keep: float) -> None:
        """Move the average towards the parameters: `keep` of it stays."""
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                self.average[name].lerp_(parameter, 1 - keep)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with the average for its parameters."""
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
        self.stale += 1
        if score.loss < self.score.loss:
            self.score, self.stale = score, 0
            self.best = {name: tensor.clone() for name, tensor in self.average.items()}

    def checkpoint(self) -> Checkpoint:
        import torch

        groups: dict[str, dict[str, Tensor]] = {
            "parameter": self.copied(),
            "start": self.start,
            "average": self.average,
            "best": self.best,
        }
        tensors = {f"{kind}/{name}": tensor for kind, of in groups.items() for name, tensor in of.items()}
        for name, parameter in self.parameters.items():
            tensors |= {f"adam/{name}/{key}": value for key, value in self.optimizer.state[parameter].items()}
        tensors["random"] = torch.get_rng_state()
        notes = {
            "score": asdict(self.score),
            "stale": self.stale,
            "history": self.history,
            "tally": asdict(self.tally),
        }
        return Checkpoint(self.step, tensors, notes)

    def restore(self, saved: Checkpoint) -> None:
        import torch

        def of(kind: str) -> dict[str, Tensor]:
            return {name: saved.tensors[f"{kind}/{name}"].clone() for name in self.parameters}

        self._assign(of("parameter"))
        self.start, self.average, self.best = of("start"), of("average"), of("best")
        for name, parameter in self.parameters.items():
            prefix = f"adam/{name}/"
            self.optimizer.state[parameter] = {
                key.removeprefix(prefix): value.clone()
                for key, value in saved.tensors.items()
                if key.startswith(prefix)
            }
        torch.set_rng_state(saved.tensors["random"])
        notes = saved.notes
        self.step, self.stale, self.history = saved.step, notes["stale"], list(notes["history"])
        self.score, self.tally = Score(**notes["score"]), Tally(**notes["tally"])

    def _assign(self, tensors: Mapping[str, Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])
