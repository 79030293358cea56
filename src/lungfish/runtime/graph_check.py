"""Refuse what a bundle's ONNX file must not hold, before onnxruntime parses it.

onnxruntime follows external tensor data from the working directory when it loads a model from bytes, and from the
model's folder when it loads a path, so the file itself must be looked into. The `onnx` package is not part of the base
install; an ONNX file is plain protobuf, and the few fields that matter are found by walking its wire format.
"""

from __future__ import annotations

from collections.abc import Iterator

from lungfish.core.errors import BundleError
from lungfish.runtime.untrusted import HINT, shortened

MAX_MODEL_BYTES = 2**31 - 1  # protobuf's own limit
MAX_FIELDS = 2_000_000
MAX_DEPTH = 32
STANDARD_DOMAINS = (b"", b"ai.onnx")

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
# message -> field number -> the message in that field (onnx/onnx.proto); fields not listed hold no tensor and no node
_MESSAGES = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external", 14: "external"},
}
_REFUSED = {
    "training": "holds training steps",
    "function": "defines operators of its own",
    "external": "keeps tensors in other files",
}


def check_graph(data: bytes, what: str = "the model") -> None:
    """Check that an ONNX file stands alone: no external data, standard operators only, well-formed protobuf.

    Raises:
        BundleError: it does not.
    """
    if len(data) > MAX_MODEL_BYTES:
        raise BundleError(f"{what} has {len(data):,} bytes; at most {MAX_MODEL_BYTES:,} are allowed", HINT)
    try:
        _Walk().visit("model", memoryview(data), 0)
    except _RefusedError as reason:
        raise BundleError(f"{what} {reason}", HINT) from None


class _RefusedError(Exception):
    pass


class _Walk:
    def __init__(self) -> None:
        self.fields = 0

    def visit(self, message: str, data: memoryview, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _RefusedError(f"is nested more than {MAX_DEPTH} deep")
        children = _MESSAGES[message]
        for number, wire, value in _wire_fields(data):
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise _RefusedError(f"has more than {MAX_FIELDS:,} fields")
            child = children.get(number)
            if child in _REFUSED:
                if number == 14 and wire == _VARINT and bytes(value) == b"\0":  # data_location: DEFAULT
                    continue
                raise _RefusedError(_REFUSED[child])
            if child is None:
                continue
            if wire != _LENGTH:
                raise _RefusedError("is not a valid ONNX file")
            if child == "domain":
                _check_domain(bytes(value))
            else:
                self.visit(child, value, depth + 1)


def _check_domain(domain: bytes) -> None:
    if domain not in STANDARD_DOMAINS:
        raise _RefusedError(f"uses custom operators: domain {shortened(domain.decode('utf-8', 'replace'))}")


def _wire_fields(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """The fields of one protobuf message: number, wire type, content (a varint's own bytes)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        start = at
        if wire == _VARINT:
            _, at = _varint(data, at)
        elif wire == _LENGTH:
            length, start = _varint(data, at)
            at = start + length
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            at = start + (8 if wire == _EIGHT_BYTES else 4)
        else:  # groups are not used by ONNX
            raise _RefusedError("is not a valid ONNX file")
        if at > len(data):
            raise _RefusedError("is truncated or not an ONNX file")
        yield number, wire, data[start:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise _RefusedError("is truncated or not an ONNX file")
