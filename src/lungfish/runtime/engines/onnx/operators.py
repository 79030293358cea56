"""Define the operators allowed in a bundle's graph, and infer the type and shape of their outputs.

These are the operators that our exporters write, with the same attributes. All shapes are static.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lungfish.runtime.engines.onnx.message import RefusedError

FLOAT, UINT8, INT8, INT32, FLOAT16 = 1, 2, 3, 6, 10  # values of onnx.TensorProto.DataType
ITEM_BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, FLOAT16: 2}
MAX_RANK = 4
MAX_STRIDE = 64  # 1 and 2 are usual

Attributes: TypeAlias = Mapping[str, Any]  # an integer, or a list of them


@dataclass(frozen=True)
class Value:
    """The type and shape of a tensor.

    Args:
        dtype: Number of the ONNX data type.
        shape: Shape, including the batch.
        is_constant: Whether the tensor is an initializer.
    """

    dtype: int
    shape: tuple[int, ...]
    is_constant: bool = False

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.elements * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Operator:
    """The allowed form of an operator.

    Args:
        infer: Function that returns the output and the multiply-adds per output element; raises `RefusedError`.
        inputs: Number of inputs.
        attributes: Names of the attributes, all required; `strides[2]` is a list of two integers.
    """

    infer: Callable[[Sequence[Value], Attributes], tuple[Value, int]]
    inputs: int
    attributes: tuple[str, ...] = ()


def _require(condition: bool, what: str = "shapes do not fit") -> None:
    if not condition:
        raise RefusedError(what)


def _same(inputs: Sequence[Value], _: Attributes) -> tuple[Value, int]:
    _require(inputs[0].dtype == FLOAT, "numbers are not float32")
    return Value(FLOAT, inputs[0].shape), 1


def _clip(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    limits = all(each.dtype == FLOAT and each.shape in ((), (1,)) and each.is_constant for each in inputs[1:])
    _require(limits, "limits are not constants")
    return _same(inputs, attributes)


def _broadcast(inputs: Sequence[Value], _: Attributes) -> tuple[Value, int]:
    _require(all(each.dtype == FLOAT for each in inputs), "numbers are not float32")
    rank = max(len(each.shape) for each in inputs)
    first, second = ((1,) * (rank - len(each.shape)) + each.shape for each in inputs)
    sides = tuple(zip(first, second, strict=True))
    _require(all(a == b or 1 in (a, b) for a, b in sides))
    return Value(FLOAT, tuple(map(max, sides))), 1


def _transpose(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    perm, shape = attributes["perm"], inputs[0].shape
    _require(len(shape) == 4 and sorted(perm) == [0, 1, 2, 3])
    return Value(inputs[0].dtype, tuple(shape[axis] for axis in perm)), 1


def _cast(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    to = attributes["to"]
    _require((inputs[0].dtype, to) in ((UINT8, FLOAT), (FLOAT, FLOAT16)), "types do not fit")
    return Value(to, inputs[0].shape), 1


def _conv(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    x, kernel, bias = (each.shape for each in inputs)
    group, sides, strides, pads = (attributes[name] for name in ("group", "kernel_shape", "strides", "pads"))
    _require(all(each.dtype == FLOAT for each in inputs), "numbers are not float32")
    _require(len(x) == len(kernel) == 4 and list(kernel[2:]) == sides and bias == (kernel[0],))
    _require(group >= 1 and kernel[0] % group == 0 and x[1] == kernel[1] * group)
    _require(all(1 <= stride <= MAX_STRIDE for stride in strides), "strides are out of range")
    _require(all(0 <= pad < side for pad, side in zip(pads, 2 * sides, strict=True)), "pads are out of range")
    room = [x[2 + i] + pads[i] + pads[2 + i] - sides[i] for i in (0, 1)]
    _require(min(room) >= 0)
    height, width = (room[i] // strides[i] + 1 for i in (0, 1))
    return Value(FLOAT, (x[0], kernel[0], height, width)), math.prod(kernel[1:])


def _pool(inputs: Sequence[Value], _: Attributes) -> tuple[Value, int]:
    shape = inputs[0].shape
    _require(inputs[0].dtype == FLOAT, "numbers are not float32")
    _require(len(shape) == 4)
    return Value(FLOAT, (*shape[:2], 1, 1)), shape[2] * shape[3]


def _flatten(inputs: Sequence[Value], _: Attributes) -> tuple[Value, int]:
    shape = inputs[0].shape
    _require(len(shape) >= 2)
    return Value(inputs[0].dtype, (shape[0], math.prod(shape[1:]))), 1


def _gemm(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    x, weights, bias = (each.shape for each in inputs)
    _require(all(each.dtype == FLOAT for each in inputs), "numbers are not float32")
    _require(attributes["transB"] == 1 and len(x) == len(weights) == 2)
    _require(x[1] == weights[1] and bias == (weights[0],))
    return Value(FLOAT, (x[0], weights[0])), x[1]


def _softmax(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    _require(attributes["axis"] == -1 and len(inputs[0].shape) == 2)
    return _same(inputs, attributes)


def _quantize(inputs: Sequence[Value], _: Attributes) -> tuple[Value, int]:
    x, scale, zero = inputs
    _require(x.dtype == FLOAT and scale == Value(FLOAT, (), is_constant=True), "types do not fit")
    _require(zero == Value(UINT8, (), is_constant=True), "types do not fit")
    return Value(UINT8, x.shape), 1


def _dequantize(inputs: Sequence[Value], attributes: Attributes) -> tuple[Value, int]:
    x, scale, zero = inputs
    axis = attributes.get("axis")
    _require(x.dtype in (UINT8, INT8, INT32) and scale.is_constant and zero.is_constant, "types do not fit")
    _require((scale.dtype, zero.dtype) == (FLOAT, x.dtype), "types do not fit")
    _require(axis is None or 0 <= axis < len(x.shape))
    expected = () if axis is None else (x.shape[axis],)
    _require(scale.shape == zero.shape == expected)
    return Value(FLOAT, x.shape), 1


OPERATORS: Mapping[str, tuple[Operator, ...]] = {
    "Add": (Operator(_broadcast, 2),),
    "Cast": (Operator(_cast, 1, ("to",)),),
    "Clip": (Operator(_clip, 3),),
    "Conv": (Operator(_conv, 3, ("group", "kernel_shape[2]", "pads[4]", "strides[2]")),),
    "DequantizeLinear": (Operator(_dequantize, 3), Operator(_dequantize, 3, ("axis",))),
    "Flatten": (Operator(_flatten, 1),),
    "Gemm": (Operator(_gemm, 3, ("transB",)),),
    "GlobalAveragePool": (Operator(_pool, 1),),
    "Mul": (Operator(_broadcast, 2),),
    "QuantizeLinear": (Operator(_quantize, 3),),
    "Relu": (Operator(_same, 1),),
    "Sigmoid": (Operator(_same, 1),),
    "Softmax": (Operator(_softmax, 1, ("axis",)),),
    "Sub": (Operator(_broadcast, 2),),
    "Transpose": (Operator(_transpose, 1, ("perm[4]",)),),
}
