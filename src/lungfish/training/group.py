"""The processes that train one network together: who this one is, and the few things that they tell each other.

`torchrun` decides: with its variables in the environment there are several processes, without them one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

PATIENCE = timedelta(hours=6)  # that the others wait while the first looks at the photos


@dataclass(frozen=True)
class Group:
    """One process among those that train together.

    Args:
        rank: of this process, 0 to `size - 1`.
        size: how many there are.
        device: that this process computes on: `cpu`, `cuda:0`, `mps`.
        local_rank: of this process among those of its machine.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of a batch: parts differ by one photo at most, and make up the batch in order."""
        return np.array_split(positions, self.size)[self.rank]

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network, its gradients averaged over the processes in each backward pass."""
        if self.size == 1:
            return network
        from torch.nn import SyncBatchNorm
        from torch.nn.parallel import DistributedDataParallel

        if self.device != "cpu":  # in eval mode it is as any batch norm
            network = SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch 2.14 has another name for it, older ones do not
            # statistics are frozen, or made together
            return DistributedDataParallel(network, broadcast_buffers=False)

    def no_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        """A pass of a wrapped network whose gradients stay here: the next pass sends them along."""
        if self.size == 1:
            return nullcontext()
        held: AbstractContextManager[None] = network.no_sync()  # type: ignore[operator]  # of what `wrap` returns
        return held

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value, summed over the processes, all of which must ask."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return list(total.tolist())

    def gather(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows of all processes in the order of their ranks, in every process; all must give theirs."""
        if self.size == 1:
            return rows
        from torch import distributed

        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, rows)
        return np.concatenate(parts)

    def broadcast(self, value: Any) -> Any:
        """What the first process has; all must ask."""
        if self.size == 1:
            return value
        from torch import distributed

        held = [value]
        distributed.broadcast_object_list(held, device=None)
        return held[0]

    def wait(self) -> None:
        """For all others to come here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()


def is_main_process() -> bool:
    """Whether `torchrun` made this the process that writes and speaks, as every process without it is."""
    return os.environ.get("RANK", "0") == "0"


def single_process() -> Group:
    """A group of this process only, on the best device at hand."""
    return Group(device=_device(0))


def advice_on_restarts() -> str:
    """What to tell a person whose launcher may start processes again, and not reach them then; empty if all is well.

    The store that a launcher shares with all that it starts keeps the addresses of those that are dead.
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    return "Restarts are reliable with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 only" if shared and restarts else ""


@contextmanager
def join_group() -> Iterator[Group]:
    """The group that `torchrun` started this process in, or a group of one."""
    import torch
    from torch import distributed

    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield single_process()
        return
    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    device = "cpu" if device == "mps" else device  # no backend joins these
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield Group(distributed.get_rank(), size, device, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        distributed.destroy_process_group()


@contextmanager
def main_first(group: Group) -> Iterator[None]:
    """A block that the first process of each machine ends before its others begin: these find it in the cache."""
    if group.local_rank > 0:
        group.wait()
    yield
    if group.local_rank == 0:
        group.wait()


def _device(local_rank: int) -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda:{local_rank % torch.cuda.device_count()}"
    return "mps" if torch.backends.mps.is_available() else "cpu"
