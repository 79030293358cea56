"""Keep an exponential moving average of a network; training validates and returns the average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


class MovingAverage:
    """Averages the parameters and statistics of a network over the training steps.

    Args:
        network: Network, trained in place; the average starts as a copy of it.
        decay: Share of the average that remains after a step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay
        self._live = network.state_dict()  # the network's own tensors, not copies
        self.tensors = copied(self._live)

    def update(self, step: int) -> None:
        """Move the average towards the network; `step` counts from 0."""
        from torch.optim.swa_utils import get_ema_multi_avg_fn

        decay = min(self._decay, (1 + step) / (10 + step))  # shorter memory at first, to forget the initial weights
        floats = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        # all at once: one kernel launch for each is slow on a GPU
        average([self.tensors[name] for name in floats], [self._live[name] for name in floats], None)
        for name in self._live.keys() - floats:  # batch norm's counts of batches
            self.tensors[name].copy_(self._live[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Load the average into the network during the block."""
        live = copied(self._live)
        self._network.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self._network.load_state_dict(live)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of the average."""
        return self.tensors

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Restore a saved average."""
        for name, tensor in self.tensors.items():
            tensor.copy_(saved[name])


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of tensors, detached from the network."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
