"""Parameters and multiply-adds."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from lungfish.architecture import Arch, Op, lower


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Args:
        params: trained numbers: kernels, biases, batch norm's scale and shift (not its running statistics).
        macs: multiply-adds of convolutions and the classifier.
    """

    params: int
    macs: int


def cost(arch: Arch) -> Cost:
    """Count `arch` at its own resolution."""
    ops = lower(arch)
    return Cost(params=sum(map(op_params, ops)), macs=sum(map(op_macs, ops)))


def op_params(op: Op) -> int:
    match op.kind:
        case "conv":
            return op.out_shape[0] * (op.in_shape[0] // op.groups * op.kernel**2 + op.bias)
        case "norm":
            return 2 * op.out_shape[0]
        case "linear":
            return (op.in_shape[0] + 1) * op.out_shape[0]
        case _:
            return 0


def op_macs(op: Op) -> int:
    match op.kind:
        case "conv":
            return prod(op.out_shape) * op.in_shape[0] // op.groups * op.kernel**2
        case "linear":
            return op.in_shape[0] * op.out_shape[0]
        case _:
            return 0
