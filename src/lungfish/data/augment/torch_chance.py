"""Seed torch's random numbers temporarily."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Seed torch's random numbers on the CPU during the block, then restore the caller's state.

    The state is shared by all threads of the process: no other thread may use it meanwhile.

    Args:
        seed: Seed, 0 to 2 ** 64 - 1.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed accelerators too
        yield
