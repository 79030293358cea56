"""Run a network in numpy, one operation at a time.

It is slow and independent of every runtime: it shares the lowering and the weights with the exporters, but none of
their folding, padding or layout. Where torch is not installed, an exported file must agree with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import INPUT, Op, lower
from lungfish.weights.network_weights import NetworkWeights

Array = NDArray[Any]  # dtype of the images: float32, or float64 for a check


def logits(network: NetworkWeights, x_nchw: Array) -> Array:
    """Return the logits of normalized images.

    Args:
        network: Architecture and weights, batch normalization not folded.
        x_nchw: float `[n, channels, height, width]`, normalized as the weights expect, in the dtype to compute in.

    Returns:
        float `[n, classes]`.
    """
    values = {INPUT: x_nchw}
    for op in lower(network.arch):
        values[op.name] = compute(op, network, *(values[name] for name in op.inputs))
    return values["classifier"]


def compute(op: Op, network: NetworkWeights, x: Array, *others: Array) -> Array:  # noqa: PLR0911  one return per kind
    """Return the output of an operation; `x` and `others` are its inputs."""
    match op.kind:
        case "conv":
            return _convolve(op, network, x)
        case "norm":
            return _normalize(op, network, x)
        case "act":
            return _activate(op.function, x)
        case "add":
            return x + others[0]
        case "mul":
            return x * others[0]
        case "pool":
            means: Array = x.mean(axis=(2, 3), keepdims=len(op.out_shape) == 3)
            return means
        case "linear":
            weight, bias = (network.arrays[f"{op.name}.{part}"] for part in ("weight", "bias"))
            return x.reshape(len(x), -1) @ weight.T + bias
        case "dropout":  # off outside training
            return x


def _convolve(op: Op, network: NetworkWeights, x_nchw: Array) -> Array:
    """Return the convolution: at each position of the kernel, add the shifted input times the weights there."""
    kernel, (height, width) = network.arrays[f"{op.name}.weight"], op.out_shape[1:]
    pads = [network.flavour.pads(side, op.kernel, op.stride) for side in x_nchw.shape[2:]]
    padded = np.pad(x_nchw, ((0, 0), (0, 0), *pads))
    y_nchw = np.zeros((len(x_nchw), *op.out_shape), x_nchw.dtype)
    for i in range(op.kernel):
        for j in range(op.kernel):
            seen = padded[:, :, i : i + op.stride * height : op.stride, j : j + op.stride * width : op.stride]
            if op.groups == 1:
                mixed = kernel[:, :, i, j] @ seen.reshape(*seen.shape[:2], -1)  # over the channels
                y_nchw += mixed.reshape(y_nchw.shape)
            else:  # depthwise: one kernel for each channel
                y_nchw += kernel[:, 0, i, j][:, None, None] * seen
    return y_nchw + network.arrays[f"{op.name}.bias"][:, None, None] if op.bias else y_nchw


def _normalize(op: Op, network: NetworkWeights, x_nchw: Array) -> Array:
    """Return the batch normalization, with the statistics of training."""
    scale, shift, mean, variance = (
        network.arrays[f"{op.name}.{part}"].astype(x_nchw.dtype)[:, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    normed: Array = (x_nchw - mean) / np.sqrt(variance + network.flavour.bn_eps) * scale + shift
    return normed


def _activate(function: str, x: Array) -> Array:
    match function:
        case "relu":
            return np.maximum(x, 0)
        case "relu6":
            return np.clip(x, 0, 6)
        case "silu":
            return x * _sigmoid(x)
        case "sigmoid":
            return _sigmoid(x)
    raise AssertionError(function)


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * x))  # without overflow
