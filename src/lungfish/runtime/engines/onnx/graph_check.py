"""Check a bundle's untrusted ONNX file before onnxruntime opens it.

Only the operators and attributes that our exporters write are allowed: no subgraphs, no external files. Every shape is
inferred, so memory and arithmetic are bounded before the session opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lungfish.core.errors import BundleError
from lungfish.core.untrusted import HINT, shortened
from lungfish.runtime.engines.onnx.message import OnnxFile, RefusedError, parse_onnx
from lungfish.runtime.engines.onnx.operators import ITEM_BYTES, MAX_RANK, OPERATORS, Attributes, Operator, Value

MAX_MODEL_BYTES = 2**31 - 1  # protobuf's own limit
MAX_NODES = 10_000  # onnxruntime takes a second to open that many; EfficientNet-B7 in INT8 has 2,534
MAX_LIVE_BYTES = 2**31  # activations live at once; EfficientNet-B7 at 600 px needs 0.2 GB per photo
MAX_MULTIPLY_ADDS = 2**40  # per batch; EfficientNet-B7 at 600 px has 3e11
OPSETS = ((b"", 17),)  # domain and version
IR_VERSION = 8
BATCH = b"batch"
_INT, _INTS = 2, 7  # values of onnx.AttributeProto.AttributeType


def checked_graph(data: bytes, batch_size: int) -> tuple[bytes, int]:
    """Check that an ONNX file is self-contained and can be computed in bounded memory and time.

    Args:
        data: Content of the file.
        batch_size: Largest batch size.

    Returns:
        The bytes to pass to onnxruntime, which contain nothing unchecked, and the largest batch size, up to
        `batch_size`, whose activations fit in `MAX_LIVE_BYTES`.

    Raises:
        BundleError: The file breaks a rule.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise BundleError(f"the model has {len(data):,} bytes; at most {MAX_MODEL_BYTES:,} are allowed", HINT)
    try:
        file = parse_onnx(data)
        _check_model(file.model)
        live_bytes = _Check(file, batch_size).run()
        return file.serialized(), min(batch_size, batch_size * MAX_LIVE_BYTES // live_bytes)
    except RefusedError as reason:
        raise BundleError(f"the model {reason}", HINT) from None


def _check_model(model: Any) -> None:
    opsets = tuple((each.domain, each.version) for each in model.opset_import)
    if opsets != OPSETS or model.ir_version != IR_VERSION:
        raise RefusedError(
            f"uses operator sets {shortened(opsets)} and IR version {model.ir_version}; "
            f"only {OPSETS} and {IR_VERSION} are allowed"
        )
    for entry in model.metadata_props:
        _text(entry.key)
        _text(entry.value)


class _Check:
    """Check the nodes in the order of computation."""

    def __init__(self, file: OnnxFile, batch_size: int) -> None:
        self._graph = file.model.graph
        self._raw_bytes = [end - start for start, end in (span or (0, 0) for span in file.raw)]
        self._batch_size = batch_size
        self._values: dict[bytes, Value] = {}

    def run(self) -> int:
        """Check the graph, and return the most bytes of activations that are live at once for a batch."""
        graph = self._graph
        if len(graph.node) > MAX_NODES:
            raise RefusedError(f"has {len(graph.node):,} operators; at most {MAX_NODES:,} are allowed")
        for info in graph.input:
            self._add(info.name, self._declared(info))
        for tensor, raw_bytes in zip(graph.initializer, self._raw_bytes, strict=True):
            self._add(tensor.name, _initializer(tensor, raw_bytes))
        live_bytes = self._infer_nodes()
        # the quantizer leaves behind entries for values that no longer exist
        inner = [info for info in graph.value_info if info.name in self._values]
        for info in (*graph.output, *inner):
            if self._values.get(info.name) != self._declared(info):
                raise RefusedError(f"declares a different type or shape for {_shown(info.name)} than it computes")
            _text(info.name)
        return live_bytes

    def _infer_nodes(self) -> int:
        nodes = self._graph.node
        last_use = {name: i for i, node in enumerate(nodes) for name in node.input}
        last_use |= dict.fromkeys((info.name for info in self._graph.output), len(nodes))
        dies: dict[int, list[bytes]] = {}
        for name, i in last_use.items():
            dies.setdefault(i, []).append(name)
        most_bytes = live_bytes = sum(self._values[info.name].bytes for info in self._graph.input)
        multiply_adds = 0
        for i, node in enumerate(nodes):
            value, cost = _infer(node, self._inputs(node))
            self._add(node.output[0], value)
            live_bytes += value.bytes
            most_bytes = max(most_bytes, live_bytes)
            multiply_adds += cost * value.elements
            if live_bytes > MAX_LIVE_BYTES * self._batch_size:
                raise RefusedError(
                    f"needs {live_bytes // self._batch_size:,} bytes of activations per photo; "
                    f"at most {MAX_LIVE_BYTES:,} are allowed"
                )
            if multiply_adds > MAX_MULTIPLY_ADDS:
                raise RefusedError(
                    f"has {multiply_adds:,} multiply-adds for {self._batch_size} photos; "
                    f"at most {MAX_MULTIPLY_ADDS:,} are allowed"
                )
            freed = (self._values[name] for name in dies.get(i, ()))
            live_bytes -= sum(each.bytes for each in freed if not each.is_constant)
        return most_bytes

    def _inputs(self, node: Any) -> list[Value]:
        try:
            return [self._values[name] for name in node.input]
        except KeyError as missing:
            raise RefusedError(f"uses {_shown(missing.args[0])} before it is computed") from None

    def _add(self, name: bytes, value: Value) -> None:
        if name in self._values or not name:
            raise RefusedError(f"defines {_shown(name)} twice" if name else "has a value without a name")
        self._values[name] = value

    def _declared(self, info: Any) -> Value:
        """Return the declared type and shape of a value."""
        tensor = info.type.tensor_type
        sides = tuple(self._batch_size if dim.dim_param == BATCH else dim.dim_value for dim in tensor.shape.dim)
        return _value(info.name, tensor.elem_type, sides)


def _initializer(tensor: Any, raw_bytes: int) -> Value:
    value = _value(tensor.name, tensor.data_type, tensor.dims, is_constant=True)
    floats, integers = (len(values) * ITEM_BYTES[value.dtype] for values in (tensor.float_data, tensor.int32_data))
    if sorted((raw_bytes, floats, integers)) != [0, 0, value.bytes] or tensor.data_location != 0:
        raise RefusedError(f"does not contain the data of {_shown(tensor.name)} exactly once")
    return value


def _value(name: bytes, dtype: int, shape: Iterable[int], *, is_constant: bool = False) -> Value:
    sides = tuple(shape)
    if dtype not in ITEM_BYTES or len(sides) > MAX_RANK or not all(0 < side <= MAX_MODEL_BYTES for side in sides):
        raise RefusedError(
            f"has {_shown(name)} of ONNX type {dtype} and shape {shortened(list(sides))}; "
            f"only types {', '.join(map(str, ITEM_BYTES))} and up to {MAX_RANK} dimensions of 1 or more are allowed"
        )
    return Value(dtype, sides, is_constant)


def _infer(node: Any, inputs: Sequence[Value]) -> tuple[Value, int]:
    """Return the output of an operator, and the multiply-adds per output element."""
    try:
        operators = OPERATORS[_text(node.op_type)]
    except KeyError:
        raise RefusedError(f"uses the operator {_shown(node.op_type)}; allowed: {', '.join(OPERATORS)}") from None
    try:
        operator, attributes = _operator(operators, node)
        return operator.infer(inputs, attributes)
    except RefusedError as reason:
        raise RefusedError(f"has an invalid {node.op_type.decode()} {_shown(node.name)}: {reason}") from None


def _operator(operators: Sequence[Operator], node: Any) -> tuple[Operator, Attributes]:
    found: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for attribute in node.attribute:
        name = _text(attribute.name)
        if attribute.type == _INT and not attribute.ints:
            found[name] = attributes[name] = attribute.i
        elif attribute.type == _INTS and not attribute.HasField("i"):
            attributes[name] = list(attribute.ints)
            found[f"{name}[{len(attributes[name])}]"] = None
    for operator in operators:
        expected = (sorted(operator.attributes), len(operator.attributes), operator.inputs, 1)
        if (sorted(found), len(node.attribute), len(node.input), len(node.output)) == expected:
            return operator, attributes
    allowed = " or ".join(f"{each.inputs} inputs and attributes {list(each.attributes)}" for each in operators)
    raise RefusedError(f"it must have 1 output, {allowed}")


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise RefusedError(f"contains {_shown(data)}, which is not UTF-8") from None


def _shown(data: bytes) -> str:
    return shortened(data.decode("utf-8", "backslashreplace"))
