"""Parse ONNX files as protobuf messages that have only the fields that our exporters write.

The data of tensors is cut out. The rest is parsed, serialized again and compared with the original bytes. If they are
identical, onnxruntime reads the very graph that is checked here. If the same graph was only encoded differently,
onnxruntime gets the newly serialized one. Unknown fields, which protobuf preserves, and fields of a wrong wire type are
refused.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

MAX_STRUCTURE_BYTES = 4 * 2**20  # takes up to 100 times as much when parsed; EfficientNet-B7 in INT8 has 1.9 MB
MAX_METADATA_BYTES = 8 * 2**20  # mostly labels; as large as bundle.json may be
MAX_FIELDS = 200_000  # in the model, its graph and its tensors; EfficientNet-B7 in INT8 has 17,000

# Message -> field -> number and type, a scalar or a message; `*` marks repeated fields, `?` the members of a oneof.
_SCHEMA = {
    "Model": {
        "ir_version": (1, "int64"),
        "producer_name": (2, "bytes"),
        "producer_version": (3, "bytes"),
        "graph": (7, "Graph"),
        "opset_import": (8, "*OperatorSet"),
        "metadata_props": (14, "*Entry"),
    },
    "OperatorSet": {"domain": (1, "bytes"), "version": (2, "int64")},
    "Entry": {"key": (1, "bytes"), "value": (2, "bytes")},
    "Graph": {
        "node": (1, "*Node"),
        "name": (2, "bytes"),
        "initializer": (5, "*Tensor"),
        "input": (11, "*ValueInfo"),
        "output": (12, "*ValueInfo"),
        "value_info": (13, "*ValueInfo"),
    },
    "Node": {
        "input": (1, "*bytes"),
        "output": (2, "*bytes"),
        "name": (3, "bytes"),
        "op_type": (4, "bytes"),
        "attribute": (5, "*Attribute"),
    },
    "Attribute": {"name": (1, "bytes"), "i": (3, "int64"), "ints": (8, "*int64"), "type": (20, "int32")},
    "Tensor": {
        "dims": (1, "*int64"),
        "data_type": (2, "int32"),
        "float_data": (4, "*float"),
        "int32_data": (5, "*int32"),
        "name": (8, "bytes"),
        "raw_data": (9, "bytes"),
        "data_location": (14, "int32"),
    },
    "ValueInfo": {"name": (1, "bytes"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "int32"), "shape": (2, "Shape")},
    "Shape": {"dim": (1, "*Dimension")},
    "Dimension": {"dim_value": (1, "?int64"), "dim_param": (2, "?bytes")},
}
_PACKED = ("float_data", "int32_data")
# Messages about unsupported ONNX fields that users' files may contain; each completes a sentence: "the model ...".
_REFUSED = {
    ("Model", 20): "contains training steps",
    ("Model", 25): "defines custom operators",
    ("Graph", 15): "contains sparse tensors",
    ("Node", 7): "sets the domain of an operator",
    ("Attribute", 6): "contains a graph inside an operator",
    ("Attribute", 11): "contains a graph inside an operator",
    ("Tensor", 13): "stores tensors in other files",
}
_NOT_ONNX, _INVALID = "is truncated or not an ONNX file", "is not a valid ONNX file"
# Tags of the fields that may be large and need no memory beyond their bytes: the graph, a tensor, its data.
_BULK_TAGS = {"Model": 0x3A, "Graph": 0x2A, "Tensor": 0x4A}


class RefusedError(Exception):
    """The reason for refusing a file, which completes the sentence `the model ...`."""


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file that has known fields only.

    Args:
        model: The `Model` message, without the `raw_data` of its tensors.
        raw: Start and end of the `raw_data` of each initializer in `data`, or None.
        data: Content of the file.
        is_plain: Whether serializing the complete model gives `data`.
    """

    model: Any
    raw: tuple[tuple[int, int] | None, ...]
    data: bytes
    is_plain: bool

    def serialized(self) -> bytes:
        """Return the model as protobuf serializes it: `data`, unless that was encoded differently."""
        if self.is_plain:
            return self.data
        whole = type(self.model)()
        whole.CopyFrom(self.model)
        for tensor, span in zip(whole.graph.initializer, self.raw, strict=True):
            if span:
                tensor.raw_data = self.data[slice(*span)]
        serialized: bytes = whole.SerializeToString()
        return serialized


def parse_onnx(data: bytes) -> OnnxFile:
    """Parse an ONNX file.

    Raises:
        RefusedError: The file is not protobuf, is too large, or has a field that our exporters do not write.
    """
    splitter = _Splitter(data)
    head, graphs = splitter.split("Model", 0, len(data))
    if len(graphs) != 1:
        raise RefusedError(_INVALID)
    _check_bytes("metadata", len(head), MAX_METADATA_BYTES)
    graph_head, spans = splitter.split("Graph", *graphs[0])
    tensors = [splitter.split("Tensor", *span) for span in spans]
    _check_bytes("structure", len(graph_head) + sum(len(own) for own, _ in tensors), MAX_STRUCTURE_BYTES)

    model = _model_class()()
    plain = [_parse(model, head)]
    graph = model.graph
    plain.append(_parse(graph, graph_head))
    if len(graph.initializer) or any(len(raw) > 1 for _, raw in tensors):
        raise RefusedError(_INVALID)
    plain += [_parse(graph.initializer.add(), own) for own, _ in tensors]
    return OnnxFile(model, tuple(raw[0] if raw else None for _, raw in tensors), data, all(plain))


def _check_bytes(kind: str, size: int, most: int) -> None:
    if size > most:
        raise RefusedError(f"has {size:,} bytes of {kind}; at most {most:,} are allowed")


def _parse(message: Any, own: bytes) -> bool:
    """Parse bytes into an empty message, and return whether serializing it gives the same bytes.

    Raises:
        RefusedError: The bytes cannot be parsed, or have unknown fields.
    """
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(own)
    except DecodeError:
        raise RefusedError(_NOT_ONNX) from None
    message.DiscardUnknownFields()  # they would be serialized as well
    if message.SerializeToString() == own:
        return True
    _refuse_unknown(type(message).FromString(own))
    return False


class _Splitter:
    """Split the messages of a file into their structure and the bulky fields of `_BULK_TAGS`.

    A bulky field whose tag is not encoded in one byte stays in the structure and counts toward its limit.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0

    def split(self, message: str, at: int, end: int) -> tuple[bytes, list[tuple[int, int]]]:
        """Return the bytes from `at` to `end` of a message without its bulky field, and the spans of that field."""
        own, bulk, kept = [], [], at
        while at < end:
            began, (tag, at) = at, self._varint(at)
            start = at
            match tag & 7:
                case 0:
                    at = self._varint(at)[1]
                case 2:
                    length, start = self._varint(at)
                    at = start + length
                case 1 | 5 as wire:
                    at += 8 if wire == 1 else 4
                case _:  # groups, which ONNX does not use
                    raise RefusedError(_INVALID)
            if at > end:
                raise RefusedError(_NOT_ONNX)
            if self._data[began] == _BULK_TAGS[message]:
                own.append(self._data[kept:began])
                bulk.append((start, at))
                kept = at
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise RefusedError(f"has more than {MAX_FIELDS:,} fields")
        own.append(self._data[kept:end])
        return b"".join(own), bulk

    def _varint(self, at: int) -> tuple[int, int]:
        """Return a number and the position after it."""
        value = self._data[at] if at < len(self._data) else 0x80
        if value < 0x80:  # most numbers take one byte
            return value, at + 1
        value = 0
        for shift, byte in enumerate(self._data[at : at + 10]):
            value |= (byte & 0x7F) << (7 * shift)
            if byte < 0x80:
                return value, at + shift + 1
        raise RefusedError(_NOT_ONNX)


def _refuse_unknown(message: Any) -> None:
    from google.protobuf.unknown_fields import UnknownFieldSet

    kind = message.DESCRIPTOR.name
    for field in UnknownFieldSet(message):
        number = field.field_number
        raise RefusedError(_REFUSED.get((kind, number), f"has field {number} in an ONNX {kind}, which is not allowed"))
    for _, value in message.ListFields():
        for each in value if hasattr(value, "__len__") and not isinstance(value, str | bytes) else (value,):
            if hasattr(each, "DESCRIPTOR"):
                _refuse_unknown(each)


@functools.cache
def _model_class() -> Any:
    """Return the class of `Model` messages with the fields of `_SCHEMA`, in proto2 as ONNX is."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="lungfish_onnx.proto", package="lungfish_onnx")
    for kind, fields in _SCHEMA.items():
        message = file.message_type.add(name=kind)
        for name, (number, declared) in fields.items():
            field = message.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if declared.startswith("*") else field.LABEL_OPTIONAL
            if declared.startswith("?"):
                field.oneof_index = 0
                message.oneof_decl or message.oneof_decl.add(name="value")
            if name in _PACKED:
                field.options.packed = True
            scalar = declared.strip("*?")
            if scalar in _SCHEMA:
                field.type, field.type_name = field.TYPE_MESSAGE, f".lungfish_onnx.{scalar}"
            else:
                field.type = getattr(field, f"TYPE_{scalar.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("lungfish_onnx.Model"))
