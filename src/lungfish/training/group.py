"""Train with several processes: their ranks, and the data that they exchange.

`torchrun` starts the processes and describes them in environment variables; without it there is one process.
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

from lungfish.training.torch_install import has_torch

if TYPE_CHECKING:
    from torch import nn

PATIENCE = timedelta(hours=6)  # the other processes wait while the main one scans the photos


@dataclass(frozen=True)
class Group:
    """One of the processes that train together.

    Args:
        rank: Rank of this process, 0 to `size - 1`.
        size: Number of processes.
        device: Device of this process: `cpu`, `cuda:0`, `mps`.
        local_rank: Rank of this process on its machine.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this is the main process: the one that writes files and messages."""
        return self.rank == 0

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's part of a batch: parts are in batch order, and their sizes differ by at most one."""
        return np.array_split(positions, self.size)[self.rank]

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over the processes in each backward pass."""
        if self.size == 1:
            return network
        from torch.nn import SyncBatchNorm
        from torch.nn.parallel import DistributedDataParallel

        if self.device != "cpu":  # in eval mode it equals plain batch norm
            network = SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # renamed in torch 2.14; older versions lack the new name
            # no broadcast: statistics are frozen, or synchronized
            return DistributedDataParallel(network, broadcast_buffers=False)

    def no_sync(self, network: nn.Module) -> AbstractContextManager[None]:
        """Return a context in which gradients stay in this process; the next pass outside it sends them."""
        if self.size == 1:
            return nullcontext()
        context: AbstractContextManager[None] = network.no_sync()  # type: ignore[operator]  # wrapped by `wrap`
        return context

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sum of each value over the processes. All of them must call it."""
        if self.size == 1:
            return list(values)
        import torch
        from torch import distributed

        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return list(total.tolist())

    def gather(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows of all processes, in order of rank. All of them must call it."""
        if self.size == 1:
            return rows
        from torch import distributed

        parts: list[Any] = [None] * self.size
        distributed.all_gather_object(parts, rows)
        return np.concatenate(parts)

    def broadcast(self, value: Any) -> Any:
        """Return the value of the main process. All processes must call it."""
        if self.size == 1:
            return value
        from torch import distributed

        values = [value]
        distributed.broadcast_object_list(values, device=None)
        return values[0]

    def wait(self) -> None:
        """Wait until all processes arrive here."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()


def is_main_process() -> bool:
    """Return whether this is the main process; without `torchrun`, it always is."""
    return os.environ.get("RANK", "0") == "0"


def single_process() -> Group:
    """Return a group of this process only, on the best available device."""
    return Group(device=_device(0))


def advice_on_restarts() -> str:
    """Return advice on reliable restarts under this launcher; empty if none is needed.

    The launcher's shared store keeps the addresses of dead processes, so restarted ones may fail to connect.
    """
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    return "Restarts are reliable only with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" if shared and restarts else ""


@contextmanager
def join_group() -> Iterator[Group]:
    """Join the group that `torchrun` started this process in, or make a group of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield single_process()
        return
    import torch
    from torch import distributed

    device = _device(int(os.environ.get("LOCAL_RANK", "0")))
    device = "cpu" if device == "mps" else device  # no backend of torch.distributed connects several MPS processes
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield Group(distributed.get_rank(), size, device, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        distributed.destroy_process_group()


@contextmanager
def main_first(group: Group) -> Iterator[None]:
    """Run a block in the first process of each machine, then in the other ones, which find the results in the cache."""
    if group.local_rank > 0:
        group.wait()
    yield
    if group.local_rank == 0:
        group.wait()


def _device(local_rank: int) -> str:
    if not has_torch():
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return f"cuda:{local_rank % torch.cuda.device_count()}"
    return "mps" if torch.backends.mps.is_available() else "cpu"
