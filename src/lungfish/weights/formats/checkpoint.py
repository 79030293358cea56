"""Checkpoints from files. A file is untrusted: nothing in it is run, and links in it are not followed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lungfish.architecture import Arch
from lungfish.core.errors import UsageError
from lungfish.core.names import printable
from lungfish.weights.formats.keras import read_keras
from lungfish.weights.formats.pytorch import read_torch
from lungfish.weights.formats.safetensors import read_safetensors
from lungfish.weights.formats.tensorflow import TensorFlowCheckpoint, checkpoint_files, is_checkpoint

TORCH = (".pth", ".pt", ".bin")
SAFETENSORS = (".safetensors",)
KERAS = (".h5", ".hdf5", ".keras")
TENSORFLOW = (".index",)  # or the name before it
ENDINGS = {"keras": KERAS, "slim": TENSORFLOW, "tpu": TENSORFLOW, "lungfish": SAFETENSORS}


def read_checkpoint(path: Path, arch: Arch, source: str = "") -> Mapping[str, object]:
    """Tensors by the names of `source`.

    Args:
        path: `.pth`, `.pt`, `.bin` or `.safetensors`; for Keras `.h5`, `.hdf5` or `.keras`; for TensorFlow's
            checkpoints the name before `.index`, or with it.
        arch: the network that it holds; old Keras 3 files name their layers by order only.
        source: the library that wrote it; if empty, any.

    Raises:
        UsageError: no such file, or one of another kind.
        WeightsError: it cannot be read, or holds more than plain tensors.
        MissingExtraError: the package that reads it is not installed.
    """
    shown, ending = printable(str(path)), _ending(path)
    allowed = ENDINGS.get(source, TORCH + SAFETENSORS) if source else TORCH + SAFETENSORS + KERAS + TENSORFLOW
    if ending not in allowed:
        raise UsageError(
            f"{shown} is no checkpoint{f' of {source}' if source else ''}: allowed are {', '.join(allowed)}"
        )
    for file in files_of(path):
        if not file.is_file():
            raise UsageError(f"there is no file {printable(str(file))}")
    if ending in TENSORFLOW:
        return TensorFlowCheckpoint(path)
    if ending in KERAS:
        return read_keras(path, arch)
    return read_safetensors(path)[0] if ending in SAFETENSORS else read_torch(path)


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that a checkpoint consists of: one, but for TensorFlow's."""
    return checkpoint_files(path) if _ending(path) in TENSORFLOW else (path,)


def _ending(path: Path) -> str:
    known = TORCH + SAFETENSORS + KERAS
    return TENSORFLOW[0] if path.suffix not in known and is_checkpoint(path) else path.suffix
