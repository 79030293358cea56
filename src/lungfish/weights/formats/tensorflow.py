"""Read TensorFlow checkpoints: `NAME.index`, which lists the variables, and `NAME.data-*`, their values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import WeightsError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.weights.formats.limits import MAX_BYTES, MAX_TENSORS, unreadable

INDEX = ".index"


class TensorFlowCheckpoint(Mapping[str, NDArray[Any]]):
    """Arrays by variable name, each read on access.

    Args:
        path: The name with or without `.index`.

    Raises:
        WeightsError: It is not a checkpoint, is too large, or claims to contain more than its files do.
        MissingExtraError: TensorFlow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no banner on stderr
        try:
            import tensorflow as tf
        except ModuleNotFoundError as error:
            raise missing_extra(error, f"reading {printable(path.name)}", "tf") from None
        try:
            self._reader = tf.train.load_checkpoint(str(_prefix(path)))
            self._shapes: dict[str, list[int]] = self._reader.get_variable_to_shape_map()
            self._types = self._reader.get_variable_to_dtype_map()
        except Exception as error:  # noqa: BLE001  a broken or hostile file can make the reader raise anything
            raise unreadable(path, error) from None
        self._check_size()

    def _check_size(self) -> None:
        shown = printable(self._path.name)
        has = sum(file.stat().st_size for file in checkpoint_files(self._path))
        if len(self._shapes) > MAX_TENSORS or has > MAX_BYTES:
            raise WeightsError(
                f"{shown} contains {len(self._shapes):,} variables in {has:,} bytes; "
                f"at most {MAX_TENSORS:,} in {MAX_BYTES:,} are read"
            )
        claims = sum(prod(shape) * self._types[name].size for name, shape in self._shapes.items())
        if claims > has:
            raise WeightsError(
                f"{shown} claims to contain {claims:,} bytes but has {has:,}", "It may be incomplete. Fetch it again."
            )

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._shapes:
            raise KeyError(name)
        try:
            array = np.asarray(self._reader.get_tensor(name))
        except Exception as error:  # noqa: BLE001  as above
            raise unreadable(self._path, error) from None
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array  # NumPy has no bfloat16

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._shapes))

    def __len__(self) -> int:
        return len(self._shapes)


def is_checkpoint(path: Path) -> bool:
    """Return whether `path` names a checkpoint, by its prefix or its `.index` file."""
    return path.suffix == INDEX or Path(f"{path}{INDEX}").is_file()


def checkpoint_files(path: Path) -> tuple[Path, ...]:
    """Return the index file, then the data files in order."""
    prefix = _prefix(path)
    nearby = prefix.parent.iterdir() if prefix.parent.is_dir() else ()
    return Path(f"{prefix}{INDEX}"), *sorted(file for file in nearby if file.name.startswith(f"{prefix.name}.data-"))


def _prefix(path: Path) -> Path:
    return Path(str(path).removesuffix(INDEX))
