"""Round the weights of a graph to integers so that the outputs of its layers change as little as possible.

The weights of a layer are rounded one input at a time; the weights of the remaining inputs are adjusted to compensate
for the error, as far as the inputs are correlated on training photos. Source: GPTQ, arXiv:2210.17323.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lungfish.quantization.activations import Activations, each_batch
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import onnx

LARGEST = 64  # 7-bit weights, as with onnxruntime's `reduce_range`: each output's largest weight becomes 64 or -64
GRID_SIDE = 7  # limit on positions sampled per axis of a layer's output and photo
MOST_INPUTS = 4096  # per output; layers with more are rounded to nearest, since memory grows with their square
DAMPING = 0.01  # share of the mean diagonal to add, so that the matrix is invertible even if some inputs are always 0
BLOCK_INPUTS = 32  # inputs whose errors are propagated to the rest in one matrix product, for speed
TINY = np.finfo(np.float32).tiny
BATCH_PIXELS = 2 * 224 * 224  # small, since each core has the inputs of all layers in memory


def round_weights(model: onnx.ModelProto, pixels: NDArray[np.uint8], skip: Collection[str] = ()) -> None:
    """Round the weights of every convolution and matrix product to a grid of 7-bit integers, in place.

    The largest weights of each output are unchanged, so a quantizer that derives its scale from them uses this grid.

    Args:
        model: An FP32 graph whose input is `image`.
        pixels: Training photos, uint8 `[n, height, width, 3]`.
        skip: Names of layers to leave unchanged.
    """
    from onnx import numpy_helper
    from threadpoolctl import threadpool_limits

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    layers = [
        node
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm") and node.name not in skip and weights[node.input[1]][0].size <= MOST_INPUTS
    ]

    def products_of(inputs: Activations) -> list[NDArray[np.float32]]:
        sampled = (_sampled_inputs(node, values) for node, values in zip(layers, inputs, strict=True))
        return [each @ each.swapaxes(1, 2) for each in sampled]

    def rounded(layer: int) -> NDArray[np.float32]:
        product, original = products[layer].astype(np.float64), weights[layers[layer].input[1]]
        weight = original.reshape(len(product), -1, product.shape[-1])
        return _round(weight, product).astype(np.float32).reshape(original.shape)

    batch = max(1, BATCH_PIXELS // pixels[0, ..., 0].size)
    cores = physical_cores()
    with threadpool_limits(1):  # we run one batch, or one layer, per thread
        parts = each_batch(model, [node.input[0] for node in layers], pixels, batch, products_of)
        products = next(parts)
        for part in parts:
            products = [np.add(product, more, out=product) for product, more in zip(products, part, strict=True)]
        for node, values in zip(layers, prefetch(rounded, range(len(layers)), cores, cores), strict=True):
            tensors[node.input[1]].CopyFrom(numpy_helper.from_array(values, node.input[1]))


def _sampled_inputs(node: onnx.NodeProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inputs of a layer as matrices, `[groups, inputs, positions]`, at sampled positions of each photo."""
    import onnx

    if node.op_type == "Gemm":
        return values.T[None]
    attributes: dict[str, Any] = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    top, left, bottom, right = attributes["pads"]
    if top or left or bottom or right:
        values = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(values, attributes["kernel_shape"], axis=(2, 3))
    down, across = (
        stride * -(-side // stride // GRID_SIDE)  # both divisions round up
        for stride, side in zip(attributes["strides"], windows.shape[2:4], strict=True)
    )
    windows = windows[:, :, ::down, ::across]
    photos, channels, height, width, *kernel = windows.shape
    groups = attributes["group"]
    parted = windows.reshape(photos, groups, channels // groups, height, width, *kernel)
    return parted.transpose(1, 2, 5, 6, 0, 3, 4).reshape(groups, -1, photos * height * width)


def _round(weight: NDArray[np.float32], product: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights rounded to their grid.

    Args:
        weight: The weights, `[groups, outputs, inputs]`.
        product: Products of each pair of inputs, summed over positions, `[groups, inputs, inputs]`.
    """
    inputs = weight.shape[-1]
    energy = np.einsum("gii->gi", product)
    order = np.argsort(-energy, axis=-1)  # the strongest first, while many inputs are left to compensate
    product = np.take_along_axis(np.take_along_axis(product, order[:, None], 2), order[:, :, None], 1)
    product += np.eye(inputs) * np.maximum(DAMPING * energy.mean(axis=-1), TINY)[:, None, None]
    inverse_root = _inverse_root(product)  # row i: how the error of input i is compensated by later inputs
    # [groups, inputs, outputs]: the weights of an input are neighbors in memory
    original = np.take_along_axis(weight.swapaxes(1, 2).astype(np.float64), order[:, :, None], 1)
    largest = np.abs(original).max(axis=1)
    step = np.maximum(largest, TINY) / LARGEST
    current = original.copy()
    for start in range(0, inputs, BLOCK_INPUTS):
        end = min(start + BLOCK_INPUTS, inputs)
        errors = np.empty_like(current[:, start:end])
        for i in range(start, end):
            nearest = np.clip(np.rint(current[:, i] / step), -LARGEST, LARGEST) * step
            rounded = np.where(np.abs(original[:, i]) == largest, original[:, i], nearest)
            error = errors[:, i - start] = (current[:, i] - rounded) / inverse_root[:, i, i, None]
            current[:, i] = rounded
            current[:, i + 1 : end] -= inverse_root[:, i, i + 1 : end, None] * error[:, None]
        current[:, end:] -= inverse_root[:, start:end, end:].swapaxes(1, 2) @ errors
    return np.take_along_axis(current, np.argsort(order, axis=-1)[:, :, None], 1).swapaxes(1, 2)


def _inverse_root(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return upper triangular `u`; `u.T @ u` is the inverse of positive definite `[n, side, side]`."""
    from scipy.linalg.lapack import dtrtri

    upper = np.linalg.cholesky(matrices[:, ::-1, ::-1])[:, ::-1, ::-1]  # upper @ upper.T is the matrix
    return np.stack([dtrtri(each)[0] for each in upper])
