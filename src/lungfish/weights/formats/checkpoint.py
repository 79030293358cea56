"""Read checkpoint files. They are untrusted: nothing in them is executed, and links in them are not followed."""

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
TENSORFLOW = (".index",)  # or the name without it
ENDINGS = {"keras": KERAS, "slim": TENSORFLOW, "tpu": TENSORFLOW, "lungfish": SAFETENSORS}


def read_checkpoint(path: Path, arch: Arch, source: str = "") -> Mapping[str, object]:
    """Return the tensors by the names of `source`.

    Args:
        path: `.pth`, `.pt`, `.bin` or `.safetensors`; for Keras `.h5`, `.hdf5` or `.keras`; for TensorFlow
            checkpoints the name with or without `.index`.
        arch: Network of the checkpoint; early Keras 3 files identify layers only by their order.
        source: Library that wrote it; any if empty.

    Raises:
        UsageError: The file does not exist, or its kind is not one of these.
        WeightsError: It cannot be read, or contains something other than plain tensors.
        MissingExtraError: The package that reads it is not installed.
    """
    shown, ending = printable(str(path)), _ending(path)
    allowed = ENDINGS.get(source, TORCH + SAFETENSORS) if source else TORCH + SAFETENSORS + KERAS + TENSORFLOW
    if ending not in allowed:
        raise UsageError(
            f"{shown} is not a checkpoint{f' of {source}' if source else ''}; allowed: {', '.join(allowed)}"
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
    """Return the files of a checkpoint: several for TensorFlow, one for all others."""
    return checkpoint_files(path) if _ending(path) in TENSORFLOW else (path,)


def _ending(path: Path) -> str:
    known = TORCH + SAFETENSORS + KERAS
    return TENSORFLOW[0] if path.suffix not in known and is_checkpoint(path) else path.suffix
