"""Safetensors: a JSON header of names, types and places, then the numbers. It cannot hold code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.weights.limits import check_size, unreadable

if TYPE_CHECKING:
    from torch import Tensor

LENGTH_BYTES = 8  # of the header, before it


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file and its metadata. Raises `WeightsError`."""
    from safetensors import SafetensorError, safe_open

    check_size(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise unreadable(path, error) from None


def safetensors_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A file, the same bytes for the same tensors and metadata: the library writes metadata in random order."""
    from safetensors.torch import save

    data: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()}, dict(metadata))
    start = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    header = json.dumps(json.loads(data[LENGTH_BYTES:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % LENGTH_BYTES)  # the numbers stay aligned
    return len(header).to_bytes(LENGTH_BYTES, "little") + header + data[start:]
