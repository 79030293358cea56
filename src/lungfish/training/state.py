"""Everything that changes while a network trains, saved and restored to the bit."""

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
    """An owner of part of the state: tensors and JSON values by name."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, saved: Mapping[str, Any], /) -> object: ...


class State:
    """The state of a run between two optimizer steps.

    It has no random state: the random numbers of a step depend only on the seed and the number of the step.

    Args:
        network: Layers from inputs to logits.
        tuning: Settings of the recipe.
        group: Processes that train together.
    """

    def __init__(self, network: nn.Sequential, tuning: Tuning, group: Group) -> None:
        self.step = 0  # number of completed steps
        self.network = network
        self.optimizer = Optimizer(network, tuning)
        self.average = MovingAverage(network, tuning.ema_decay)
        self.l2_sp = L2SP(network, tuning.l2_sp)
        self.history = History(self.average)
        self.meter = Meter(group)

    def state_dict(self) -> dict[str, Mapping[str, Any]]:
        """Return the state of each part. Every process must call it, as the meter sums over the group."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, saved: Checkpoint) -> None:
        """Restore the state of a checkpoint."""
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
