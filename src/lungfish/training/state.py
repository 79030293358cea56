"""All that changes while a network trains: to a checkpoint and back, to the bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lungfish.training.checkpoint import Checkpoint
from lungfish.training.group import Group
from lungfish.training.history import History
from lungfish.training.l2_sp import L2SP
from lungfish.training.meter import Meter
from lungfish.training.moving_average import MovingAverage
from lungfish.training.optimizer import Optimizer
from lungfish.training.stage_settings import Tuning

if TYPE_CHECKING:
    from torch import nn


class Part(Protocol):
    """What owns some of the state: tensors and JSON values by name."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, saved: Mapping[str, Any], /) -> object: ...


class State:
    """A run between two steps.

    Random numbers are not part of it: those of a step come from the seed and its number alone.

    Args:
        network: Inputs to logits, layer by layer.
        tuning: Settings of the recipe.
        group: The processes that train together.
    """

    def __init__(self, network: nn.Sequential, tuning: Tuning, group: Group) -> None:
        self.step = 0  # how many are done
        self.network = network
        self.optimizer = Optimizer(network, tuning)
        self.average = MovingAverage(network, tuning.ema_decay)
        self.l2_sp = L2SP(network, tuning.l2_sp)
        self.history = History(self.average)
        self.meter = Meter(group)

    def state_dict(self) -> dict[str, Mapping[str, Any]]:
        """Return the state of each part. Every process of the group calls it: the meter adds up what they measured."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, saved: Checkpoint) -> None:
        """Continue from a checkpoint."""
        self.step = saved.step
        for name, part in self._parts().items():
            part.load_state_dict(saved.part(name))

    def _parts(self) -> dict[str, Part]:
        return {
            "network": self.network,
            "optimizer": self.optimizer,
            "average": self.average,
            "l2_sp": self.l2_sp,
            "history": self.history,
            "meter": self.meter,
        }
