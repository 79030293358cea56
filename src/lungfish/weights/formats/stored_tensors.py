"""Describe tensors as PyTorch files do, as views of storages, and read their values on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lungfish.weights.formats.limits import MAX_BYTES
from lungfish.weights.formats.pickle_machine import DamagedError

MAX_DIMENSIONS = 64  # NumPy's limit and torch's
BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class DType:
    """A data type.

    Args:
        name: torch's name.
        stored: NumPy's type for reading it; None if there is none.
        bytes: Size of one number.
    """

    name: str
    stored: np.dtype[Any] | None
    bytes: int


def _numpy(name: str, stored: str = "") -> DType:
    dtype = np.dtype(stored or name)
    return DType(name, dtype, dtype.itemsize)


DTYPES = {
    dtype.name: dtype
    for dtype in (
        *map(_numpy, ("float64", "float32", "float16", "complex128", "complex64", "int64", "int32", "int16", "int8")),
        *map(_numpy, ("uint64", "uint32", "uint16", "uint8", "bool")),
        _numpy(BFLOAT16, "uint16"),  # read as bits
        *(DType(name, None, 1) for name in ("qint8", "quint8", "float8_e4m3fn", "float8_e5m2")),
        *(DType(name, None, 1) for name in ("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")),
        DType("qint32", None, 4),
    )
}


@dataclass(frozen=True)
class Storage:
    """Bytes that tensors are views of.

    Args:
        key: Name of the storage in the file.
        dtype: Data type of its elements.
        bytes: Size of the storage.
    """

    key: str
    dtype: DType
    bytes: int


@dataclass(frozen=True)
class Stretch:
    """A part of a storage, or all of it.

    Args:
        storage: The storage.
        first: Offset of its first byte in the storage.
        bytes: Size of the part.
    """

    storage: Storage
    first: int
    bytes: int


@dataclass(frozen=True)
class StoredTensor:
    """A strided view that lies within a stretch.

    Args:
        stretch: The bytes.
        dtype: Data type of the elements.
        offset: Offset of the first element, in elements.
        shape: Shape of the tensor.
        stride: Distance between neighbors along each axis, in elements.
    """

    stretch: Stretch
    dtype: DType
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class NoPlainTensor:
    """A tensor that cannot be an array: sparse, quantized, without data, or a small storage expanded to an absurd size.

    Args:
        shape: Shape of the tensor.
        dtype: torch's name of its data type.
    """

    shape: tuple[int, ...]
    dtype: str


def view(stretch: object, dtype: DType, offset: object, shape: object, stride: object) -> StoredTensor | NoPlainTensor:
    """Return the tensor that a file describes. Raises `DamagedError` if it does not lie within its storage."""
    if not isinstance(stretch, Stretch):
        raise DamagedError("a tensor has no storage")
    start, sizes, steps = counts((offset,))[0], counts(shape), counts(stride)
    if len(sizes) != len(steps):
        raise DamagedError(f"a tensor has {len(sizes)} axes and {len(steps)} strides")
    if 0 not in sizes:
        last = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
        if (last + 1) * dtype.bytes > stretch.bytes:
            raise DamagedError(f"a tensor of shape {list(sizes)} reaches past its storage of {stretch.bytes:,} bytes")
    elif start * dtype.bytes > stretch.bytes:
        raise DamagedError("an empty tensor begins past its storage")
    if dtype.stored is None or prod(sizes) * max(dtype.bytes, 4) > MAX_BYTES:  # 4: bfloat16 is read as float32
        return NoPlainTensor(sizes, dtype.name)
    return StoredTensor(stretch, dtype, start, sizes, steps)


def counts(values: object) -> tuple[int, ...]:
    """Return `values` as a shape or strides. Raises `DamagedError` if they are invalid."""
    if type(values) not in (tuple, list) or len(values) > MAX_DIMENSIONS:  # type: ignore[arg-type]
        raise DamagedError("a tensor has no shape, or too many axes")
    sizes_or_steps: tuple[Any, ...] = tuple(values)  # type: ignore[arg-type]
    if not all(type(count) is int and 0 <= count < 2**63 for count in sizes_or_steps):
        raise DamagedError("a tensor has an invalid axis, stride or offset")
    return sizes_or_steps


@dataclass(frozen=True)
class TorchContent:
    """The contents of a PyTorch file.

    Args:
        value: The saved object, with a `StoredTensor` for each tensor.
        file: The open file, for reading values.
        starts: Offset of each storage in the file, by key.
        byte_order: Byte order of the values, `<` or `>`.
    """

    value: object
    file: IO[bytes]
    starts: Mapping[str, int]
    byte_order: Literal["<", ">"] = "<"
    _read: dict[tuple[str, str], NDArray[Any]] = field(default_factory=dict)

    def array(self, tensor: StoredTensor) -> NDArray[Any]:
        """Return the values as an array in native byte order; bfloat16 becomes float32, exactly.

        Arrays of one storage share memory.

        Raises:
            DamagedError: The file is truncated.
        """
        numbers = self._numbers(tensor.stretch.storage, tensor.dtype)
        first, unit = tensor.stretch.first // tensor.dtype.bytes + tensor.offset, numbers.itemsize
        if 0 in tensor.shape:
            return np.empty(tensor.shape, numbers.dtype)
        strides = tuple(
            step * unit if size > 1 else unit for size, step in zip(tensor.shape, tensor.stride, strict=True)
        )
        return np.ndarray(tensor.shape, numbers.dtype, numbers, first * unit, strides)

    def _numbers(self, storage: Storage, dtype: DType) -> NDArray[Any]:
        """Return all values in a storage."""
        key = storage.key, dtype.name
        if key not in self._read:
            assert dtype.stored
            raw = np.empty(storage.bytes // dtype.bytes, dtype.stored.newbyteorder(self.byte_order))
            self.file.seek(self.starts[storage.key])
            if self.file.readinto(raw.view(np.uint8)) != raw.nbytes:  # type: ignore[attr-defined]
                raise DamagedError("it is truncated")
            self._read[key] = _native(raw, dtype)
        return self._read[key]


def bfloat16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Convert bit patterns of bfloat16, each the upper half of a float32, to float32."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def _native(raw: NDArray[Any], dtype: DType) -> NDArray[Any]:
    if dtype.name == BFLOAT16:
        return bfloat16_to_float32(raw)
    if dtype.name == "bool":
        return np.not_equal(raw.view(np.uint8), 0)
    return raw.astype(raw.dtype.newbyteorder("="), copy=False)
