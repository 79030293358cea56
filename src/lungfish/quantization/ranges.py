"""Measure the ranges of activations on photos, from which a quantizer derives their scales."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.quantization.activations import Activations, each_batch

if TYPE_CHECKING:
    import onnx

Range = tuple[np.float32, np.float32]

BATCH = 8  # photos that share one lowest and one highest value; these are averaged over the batches


def activation_ranges(
    model: onnx.ModelProto, pixels: NDArray[np.uint8], operators: Collection[str]
) -> dict[str, Range]:
    """Return the lowest and the highest value of every activation that operators read or write.

    Both are averaged over batches of photos, so that a single outlier hardly widens the range.

    Args:
        model: An FP32 graph whose input is `image`.
        pixels: Photos, uint8 `[n, height, width, 3]`.
        operators: Types of operators.
    """
    constants = {tensor.name for tensor in model.graph.initializer} | {each.name for each in model.graph.input}
    nodes = [node for node in model.graph.node if node.op_type in operators]
    activations = sorted({name for node in nodes for name in (*node.input, *node.output)} - constants)
    # The quantizer merges a convolution and the clipping of its output, and then needs the range of the clipped values.
    # Without a measurement between the two, onnxruntime merges them as well.
    clipped = _clipped(model)
    measured = [name for name in activations if name not in clipped]

    def extremes(values: Activations) -> NDArray[np.float32]:
        return np.array([(value.min(), value.max()) for value in values])

    photos = np.stack(list(each_batch(model, measured, pixels, 1, extremes)))  # [n, activations, 2]
    batches = [photos[start : start + BATCH] for start in range(0, len(photos), BATCH)]
    lowest = np.mean([batch[..., 0].min(axis=0) for batch in batches], axis=0)
    highest = np.mean([batch[..., 1].max(axis=0) for batch in batches], axis=0)
    ranges = {name: (low, high) for name, low, high in zip(measured, lowest, highest, strict=True)}
    return ranges | {name: ranges[clipped[name]] for name in activations if name in clipped}


def _clipped(model: onnx.ModelProto) -> dict[str, str]:
    """Return the activations that are clipped and not used otherwise, with the names of their clipped values."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    only = {name: nodes[0] for name, nodes in readers.items() if len(nodes) == 1}
    return {name: node.output[0] for name, node in only.items() if node.op_type in ("Clip", "Relu")}
