"""Checkpoints from files. A file is untrusted: nothing in it is run, and links in it are not followed."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.architecture import Arch
from lungfish.core.errors import UsageError, WeightsError
from lungfish.core.names import printable
from lungfish.weights.keras_file import read_keras

if TYPE_CHECKING:
    from torch import Tensor

TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
KERAS_SUFFIXES = (".h5", ".hdf5", ".keras")


def read_checkpoint(path: Path, arch: Arch, source: str) -> Mapping[str, object]:
    """Tensors by the names of `source`.

    Args:
        path: `.pth`, `.pt`, `.bin` or `.safetensors`; for Keras `.h5`, `.hdf5` or `.keras`.
        arch: the network that it holds; old Keras 3 files name their layers by order only.
        source: the library that wrote it.

    Raises:
        UsageError: no such file, or one of another kind.
        WeightsError: it cannot be read.
        MissingExtraError: the package that reads it is not installed.
    """
    allowed = KERAS_SUFFIXES if source == "keras" else TORCH_SUFFIXES
    if path.suffix not in allowed:
        raise UsageError(f"{printable(str(path))} is no checkpoint of {source}: allowed are {', '.join(allowed)}")
    if not path.is_file():
        raise UsageError(f"there is no file {printable(str(path))}")
    if source == "keras":
        return read_keras(path, arch)
    return read_safetensors(path)[0] if path.suffix == ".safetensors" else _read_torch(path)


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file and its metadata. Raises `WeightsError`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None


def _read_torch(path: Path) -> Mapping[str, object]:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise _unreadable(path, error) from None
    state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping):
        raise WeightsError(f"{printable(path.name)} holds a {type(state).__name__}, not tensors by name")
    return state


def _unreadable(path: Path, error: Exception) -> WeightsError:
    reason = printable(str(error).partition("\n")[0])
    return WeightsError(f"cannot read {printable(path.name)}: {reason}", "Is it whole? Fetch or save it again.")
