"""torch's own counter against our cost: two operations for each multiply-add, on the built module of every network."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import lungfish as lf
from lungfish.architecture import NAMED, Arch


@pytest.mark.parametrize("arch", NAMED.values(), ids=lambda arch: arch.name)
def test_flops_are_twice_the_multiply_adds(arch: Arch) -> None:
    side = arch.resolution_px
    with torch.device("meta"):  # shapes without numbers: the largest is counted as fast as the smallest
        network, image = lf.build(arch).eval(), torch.empty(1, arch.in_channels, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    assert counter.get_total_flops() == 2 * lf.cost(arch).macs
