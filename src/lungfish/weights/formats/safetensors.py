"""Read and write safetensors: a JSON header of names, types and offsets, then the data; never code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.weights.formats.limits import MAX_TENSORS, check_size, unreadable
from lungfish.weights.formats.stored_tensors import NoPlainTensor, bfloat16_to_float32

LENGTH_BYTES = 8  # size of the length field before the header
MAX_HEADER_BYTES = 8 << 20  # 20,000 tensors take 2 MB; the library would accept and parse 100 MB
BF16 = "BF16"
NUMPY_TYPES = frozenset({"F64", "F32", "F16", "I64", "U64", "I32", "U32", "I16", "U16", "I8", "U8", "BOOL", "C64"})


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays of a file and its metadata.

    bfloat16 becomes float32, exactly. Types that NumPy lacks, such as float8, become a `NoPlainTensor`.

    Raises:
        WeightsError: The file is damaged, too large or missing.
    """
    from safetensors import SafetensorError, safe_open

    check_size(path)
    try:
        length = _checked_length(path)
        with safe_open(path, framework="np") as file:
            parts = {name: file.get_slice(name) for name in _checked(file.keys())}
            arrays = {name: _array(file, name, part) for name, part in parts.items()}
            wide = [name for name, part in parts.items() if part.get_dtype() == BF16]
            return arrays | _bfloat16_arrays(path, length, wide), file.metadata() or {}
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise unreadable(path, error) from None


def _array(file: Any, name: str, part: Any) -> NDArray[Any] | NoPlainTensor:
    dtype, shape = part.get_dtype(), tuple(part.get_shape())
    if dtype not in NUMPY_TYPES:
        return NoPlainTensor(shape, dtype.lower())
    array: NDArray[Any] = file.get_tensor(name)
    return array.reshape(shape)  # the library flattens empty arrays


def _bfloat16_arrays(path: Path, header_bytes: int, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Read arrays of a type that NumPy lacks, from a file whose header has been validated."""
    if not names:
        return {}
    arrays = {}
    with path.open("rb") as file:
        file.seek(LENGTH_BYTES)
        rows = json.loads(file.read(header_bytes))
        for name in names:
            begin, end = rows[name]["data_offsets"]
            file.seek(LENGTH_BYTES + header_bytes + begin)
            bits = np.frombuffer(file.read(end - begin), "<u2")
            arrays[name] = bfloat16_to_float32(bits).reshape(rows[name]["shape"])
    return arrays


def _checked_length(path: Path) -> int:
    """Return the length of the header. Raises `ValueError` if it is too long to be parsed."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
    return length


def _checked(names: list[str]) -> list[str]:
    """Return the names. Raises `ValueError` if there are too many."""
    if len(names) > MAX_TENSORS:
        raise ValueError(f"it contains {len(names):,} tensors; at most {MAX_TENSORS:,} are read")
    return names


def safetensors_bytes(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a file, the same for the same contents, although the library orders metadata randomly."""
    from safetensors.numpy import save

    metadata = dict(metadata) if metadata else None  # the library would write an empty one
    data: bytes = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata)
    if not metadata:
        return data
    start = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    header = json.dumps(json.loads(data[LENGTH_BYTES:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % LENGTH_BYTES)  # keeps the data aligned
    return len(header).to_bytes(LENGTH_BYTES, "little") + header + data[start:]
