"""Rounding a graph's weights to integers so that each layer's output, not each weight, stays where it was.

Weights are rounded one input after another; what each rounding does to the layer's output is made up for by the inputs
still to come, as far as they go together on real photos. Source: GPTQ, arXiv:2210.17323.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lungfish.runtime.cores import physical_cores

if TYPE_CHECKING:
    import onnx

LARGEST = 64  # of 7-bit weights, the grid of onnxruntime's `reduce_range`: -64 to 64, the largest weight at an end
SIDE = 7  # of the grid of positions that are looked at in each photo
MOST_INPUTS = 4096  # of one output; a layer with more is rounded to nearest: the square of this is held in memory
DAMPING = 0.01  # of the mean diagonal, so that inputs that are always 0 have an inverse
TOGETHER = 32  # inputs whose errors are passed on to the rest at once: the same sums, as one product of matrices
TINY = np.finfo(np.float32).tiny
BATCH_PIXELS = 8 * 224 * 224  # in flight, since every layer's input is kept


def round_weights(model: onnx.ModelProto, pixels: NDArray[np.uint8], skip: Collection[str] = ()) -> None:
    """Put the weights of every convolution and matrix product on the grid of 7-bit integers, in place.

    The largest weights of each output stay as they are: a quantizer that takes its scale from them finds the grid.

    Args:
        model: an FP32 graph whose input is `image`.
        pixels: uint8 `[n, height, width, 3]` of training photos.
        skip: names of layers to leave alone.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    layers = [
        node
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm") and node.name not in skip and weights[node.input[1]][0].size <= MOST_INPUTS
    ]
    products = dict[str, NDArray[np.float32]]()
    for inputs in _inputs(model, layers, pixels):
        for node, values in zip(layers, inputs, strict=True):
            seen = _seen(node, values)
            part = seen @ seen.swapaxes(1, 2)
            products[node.name] = products[node.name] + part if node.name in products else part
    for node in layers:
        name, product = node.input[1], products.pop(node.name).astype(np.float64)
        weight = weights[name].reshape(len(product), -1, product.shape[-1])
        rounded = _round(weight, product).astype(np.float32).reshape(weights[name].shape)
        tensors[name].CopyFrom(numpy_helper.from_array(rounded, name))


def _inputs(
    model: onnx.ModelProto, layers: list[onnx.NodeProto], pixels: NDArray[np.uint8]
) -> Iterator[list[NDArray[np.float32]]]:
    """What each layer reads, for one batch of photos after another."""
    import onnx
    import onnxruntime

    names = [node.input[0] for node in layers]
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    new = sorted(set(names) - {output.name for output in model.graph.output})
    tapped.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in new)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = physical_cores()
    session = onnxruntime.InferenceSession(tapped.SerializeToString(), options, providers=["CPUExecutionProvider"])
    batch = max(1, BATCH_PIXELS // pixels[0, ..., 0].size)
    for start in range(0, len(pixels), batch):
        yield session.run(names, {"image": pixels[start : start + batch]})


def _seen(node: onnx.NodeProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[groups, inputs, positions]`: the numbers that a layer's weights meet, at some positions of each photo."""
    import onnx

    if node.op_type == "Gemm":
        return values.T[None]
    attributes: dict[str, Any] = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    top, left, bottom, right = attributes["pads"]
    if top or left or bottom or right:
        values = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(values, attributes["kernel_shape"], axis=(2, 3))
    down, across = (
        stride * -(-side // stride // SIDE)  # both divisions round up
        for stride, side in zip(attributes["strides"], windows.shape[2:4], strict=True)
    )
    windows = windows[:, :, ::down, ::across]
    photos, channels, height, width, *kernel = windows.shape
    groups = attributes["group"]
    parted = windows.reshape(photos, groups, channels // groups, height, width, *kernel)
    return parted.transpose(1, 2, 5, 6, 0, 3, 4).reshape(groups, -1, photos * height * width)


def _round(weight: NDArray[np.float32], product: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights on their grid.

    Args:
        weight: `[groups, outputs, inputs]`.
        product: `[groups, inputs, inputs]`, the sum over positions of each input times each other.
    """
    inputs = weight.shape[-1]
    energy = np.einsum("gii->gi", product)
    order = np.argsort(-energy, axis=-1)  # the strongest first, while there are others to make up for it
    product = np.take_along_axis(np.take_along_axis(product, order[:, None], 2), order[:, :, None], 1)
    product += np.eye(inputs) * np.maximum(DAMPING * energy.mean(axis=-1), TINY)[:, None, None]
    passed_on = _inverse_root(product)  # from each input to later ones
    given = np.take_along_axis(weight.astype(np.float64), order[:, None], 2)
    most = np.abs(given).max(axis=-1)
    step = np.maximum(most, TINY) / LARGEST
    left = given.copy()
    for start in range(0, inputs, TOGETHER):
        end = min(start + TOGETHER, inputs)
        errors = np.empty_like(left[..., start:end])
        for i in range(start, end):
            nearest = np.clip(np.rint(left[..., i] / step), -LARGEST, LARGEST) * step
            rounded = np.where(np.abs(given[..., i]) == most, given[..., i], nearest)
            error = errors[..., i - start] = (left[..., i] - rounded) / passed_on[:, i, i, None]
            left[..., i] = rounded
            left[..., i + 1 : end] -= error[..., None] * passed_on[:, None, i, i + 1 : end]
        left[..., end:] -= errors @ passed_on[:, start:end, end:]
    return np.take_along_axis(left, np.argsort(order, axis=-1)[:, None], 2)


def _inverse_root(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangular `u` with `u.T @ u` the inverse, of each of `[n, side, side]` positive definite matrices."""
    from scipy.linalg.lapack import dtrtri

    upper = np.linalg.cholesky(matrices[:, ::-1, ::-1])[:, ::-1, ::-1]  # upper @ upper.T is the matrix
    return np.stack([dtrtri(each)[0] for each in upper])
