"""Count the parameters and multiply-adds of an operation."""

from __future__ import annotations

from math import prod

from lungfish.architecture import Op


def op_params(op: Op) -> int:
    """Count trainable parameters: kernels, biases, and scale and shift of batch norm (not its running statistics)."""
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
    """Count multiply-adds of convolutions and the classifier; sums, gates, norms and activations count as 0."""
    match op.kind:
        case "conv":
            return prod(op.out_shape) * op.in_shape[0] // op.groups * op.kernel**2
        case "linear":
            return op.in_shape[0] * op.out_shape[0]
        case _:
            return 0
