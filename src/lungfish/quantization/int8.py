"""Quantize an ONNX graph to INT8, rounding weights to preserve layer outputs and calibrating on training photos."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.quantization.precision import DEFAULT_PRECISIONS, PrecisionMap
from lungfish.quantization.ranges import activation_ranges
from lungfish.quantization.weight_rounding import round_weights

# Largest number of calibration photos (`Recipe.calibration_photos`) used for rounding; twice as many gave no better
# result: decision 0014.
ROUNDING_PHOTOS = 32
# Operators to quantize; normalization and softmax stay in FP32.
INTEGER_OPERATORS = ("Conv", "Clip", "Add", "GlobalAveragePool", "Flatten", "Gemm")


def quantize_int8(
    source: Path, target: Path, pixels: NDArray[np.uint8], precisions: PrecisionMap = DEFAULT_PRECISIONS
) -> None:
    """Write an INT8 copy (QDQ format) of an FP32 ONNX graph. The same input gives the same bytes.

    Weights have 7 bits (`reduce_range`), since sums of 8-bit products overflow 16 bits on x86 without VNNI. They are
    rounded to 7 bits before quantization (see `weight_rounding`). Activation ranges are averaged over batches, so that
    a single outlier hardly widens them.

    Args:
        source: Path of the FP32 graph.
        target: Path of the file to write.
        pixels: Training photos for calibration, uint8 `[n, resolution, resolution, 3]`.
        precisions: Precision of each layer; `fp32` layers are not quantized.
    """
    import onnx
    from onnxruntime import quantization

    model = onnx.load(source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    every = math.ceil(len(pixels) / ROUNDING_PHOTOS)  # spread out: the first photos may all be of one class
    floats = [node.name for node in model.graph.node if precisions.precision_of(node.name) == "fp32"]
    round_weights(model, pixels[::every], floats)
    ranges = activation_ranges(model, pixels, INTEGER_OPERATORS)
    quantizer = quantization.QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),
        per_channel=True,
        reduce_range=True,
        weight_qType=quantization.QuantType.QInt8,
        activation_qType=quantization.QuantType.QUInt8,
        tensors_range=quantization.TensorsData(quantization.CalibrationMethod.MinMax, ranges),
        nodes_to_quantize=[],
        nodes_to_exclude=floats,
        op_types_to_quantize=list(INTEGER_OPERATORS),
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized = quantizer.model.model
    onnx.helper.set_model_props(quantized, metadata)  # the quantizer drops it, and changes the producer
    quantized.producer_name, quantized.producer_version = "lungfish", ""
    onnx.save(quantized, target)
