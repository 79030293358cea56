"""Read and write safetensors: a JSON header of names, types and offsets, then the numbers; never code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.weights.formats.limits import MAX_TENSORS, check_size, unreadable

if TYPE_CHECKING:
    from torch import Tensor

LENGTH_BYTES = 8  # of the length that precedes the header
MAX_HEADER_BYTES = 8 << 20  # 20,000 tensors take 2 MB; the library, which parses all of it, would accept 100


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file and its metadata. Raises `WeightsError` if it is damaged, too large or missing."""
    from safetensors import SafetensorError, safe_open

    check_size(path)
    try:
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in _checked(file.keys())}, file.metadata() or {}
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise unreadable(path, error) from None


def _check_header(path: Path) -> None:
    """Raise `ValueError` if the header is too long to be parsed."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")


def _checked(names: list[str]) -> list[str]:
    """Return the names. Raises `ValueError` if there are too many."""
    if len(names) > MAX_TENSORS:
        raise ValueError(f"it contains {len(names):,} tensors; at most {MAX_TENSORS:,} are read")
    return names


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a file, always the same for the same contents: the library orders metadata randomly."""
    from safetensors.torch import save

    data: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata))
    start = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    header = json.dumps(json.loads(data[LENGTH_BYTES:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % LENGTH_BYTES)  # the numbers stay aligned
    return len(header).to_bytes(LENGTH_BYTES, "little") + header + data[start:]
