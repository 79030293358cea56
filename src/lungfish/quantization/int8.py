"""Quantize an ONNX graph to INT8, rounding weights to preserve layer outputs and calibrating on training photos."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.quantization.precision import DEFAULT_PRECISIONS, PrecisionMap
from lungfish.quantization.weight_rounding import round_weights

# Largest number of calibration photos (`Recipe.calibration_photos`) used for rounding; twice as many gave no better
# result: decision 0014.
ROUNDING_PHOTOS = 32
CALIBRATION_BATCH = 8
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
    every = math.ceil(len(pixels) / ROUNDING_PHOTOS)  # spread over all photos: the first may be of one class
    floats = [node.name for node in model.graph.node if precisions.precision_of(node.name) == "fp32"]
    round_weights(model, pixels[::every], floats)
    with _quiet_root_logger():
        quantization.quantize_static(
            model,
            target,
            _Batches(pixels),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(INTEGER_OPERATORS),
            nodes_to_exclude=floats,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
        )
    quantized = onnx.load(target)  # the quantizer drops the metadata and changes the producer
    onnx.helper.set_model_props(quantized, metadata)
    quantized.producer_name, quantized.producer_version = "lungfish", ""
    onnx.save(quantized, target)


class _Batches:
    """The calibration data as onnxruntime reads them: `get_next` returns one batch per call, then None."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._parts = self._split(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._parts, None)

    @staticmethod
    def _split(pixels: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.uint8]]]:
        for start in range(0, len(pixels), CALIBRATION_BATCH):
            yield {"image": pixels[start : start + CALIBRATION_BATCH]}


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Silence the root logger's warnings: the quantizer advises preprocessing, which our graphs do not need."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
