"""Parameters and multiply-adds of one operation."""

from __future__ import annotations

from math import prod

from lungfish.architecture import Op


def op_params(op: Op) -> int:
    """Trained numbers: kernels, biases, batch norm's scale and shift (not its running statistics)."""
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
    """Multiply-adds of convolutions and the classifier; sums, gates, norms and activations count as nothing."""
    match op.kind:
        case "conv":
            return prod(op.out_shape) * op.in_shape[0] // op.groups * op.kernel**2
        case "linear":
            return op.in_shape[0] * op.out_shape[0]
        case _:
            return 0
