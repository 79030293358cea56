"""Torch's random numbers for a moment, out of a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def torch_seeded(seed: int) -> Iterator[None]:
    """Within, torch's random numbers on the CPU follow from `seed`; afterwards the caller's go on untouched.

    There is one such source in a process: no other thread may draw from it meanwhile.

    Args:
        seed: 0 to 2 ** 64 - 1.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach for the accelerators' too
        yield
