"""Run a graph on photos and look at its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch

if TYPE_CHECKING:
    import onnx

Activations = list[NDArray[np.float32]]
R = TypeVar("R")


def each_batch(
    model: onnx.ModelProto,
    names: Sequence[str],
    pixels: NDArray[np.uint8],
    size: int,
    function: Callable[[Activations], R],
) -> Iterator[R]:
    """Apply a function to the activations of each batch; yield its results.

    One thread runs a batch, then calls the function, so that only the result is kept: activations are large. Threads
    do not wait for each other within a run; waiting would take long if another process kept a core busy.

    Args:
        model: An FP32 graph whose input is `image`.
        names: Names of the activations.
        pixels: Photos, uint8 `[n, height, width, 3]`.
        size: Photos in a batch.
        function: Function of the activations, `[size, ...]` each, in the order of `names`.
    """
    import onnx
    import onnxruntime

    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    new = sorted(set(names) - {output.name for output in model.graph.output})
    outputs = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in new)
    extended.graph.output.extend(outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(extended.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def run(start: int) -> R:
        return function(session.run(names, {"image": pixels[start : start + size]}))

    cores = physical_cores()
    return prefetch(run, range(0, len(pixels), size), cores, cores)
