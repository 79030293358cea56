"""The protocol of engines, which run an artifact from pixels to probabilities, and the files they open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import BundleError
from lungfish.core.files import TooLargeError, read_at_most
from lungfish.core.untrusted import HINT
from lungfish.runtime.artifact import MAX_FILE_BYTES

INPUT, OUTPUT = "image", "probabilities"  # names of input and output inside every artifact
BATCH_SIZE = 8  # larger batches are no faster on a CPU, and each photo takes 14 MB at 224 px


class Engine(Protocol):
    """An open artifact. Several threads may run it at once."""

    @property
    def resolution_px(self) -> int:
        """Side of the square input, in pixels."""

    @property
    def classes(self) -> int:
        """Length of the output for each photo."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the file: see `lungfish.runtime.metadata`."""

    @property
    def threads(self) -> int:
        """Threads that compute one run."""

    @property
    def runtime(self) -> str:
        """Name and version of the library: `onnxruntime 1.23.0`."""

    def run(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """Compute probabilities, float32 `[batch, classes]`, of uint8 RGB `[batch, resolution, resolution, 3]`.

        Raises:
            BundleError: The pixels have another type or shape, the model fails on them, or its output is not finite.
        """


@dataclass(frozen=True, eq=False)
class ModelFiles:
    """The files of an artifact in memory: an engine parses these bytes and opens no path.

    Args:
        name: Name of the main file.
        contents: Bytes of all files by name.
    """

    name: str
    contents: Mapping[str, bytes]

    @property
    def main(self) -> bytes:
        """Content of the main file."""
        return self.contents[self.name]

    @classmethod
    def read(cls, folder: Path, names: Sequence[str]) -> ModelFiles:
        """Read files that this process has written; `bundle_files.read_artifact` reads and checks those of a bundle.

        Args:
            folder: Folder of the files.
            names: Names of the files in the folder, the main file first.

        Raises:
            BundleError: A file is missing or larger than `MAX_FILE_BYTES`.
        """
        return cls(names[0], {name: _read(folder, name) for name in names})


def _read(folder: Path, name: str) -> bytes:
    try:
        return read_at_most(folder / name, MAX_FILE_BYTES)
    except TooLargeError as error:
        raise BundleError(f"{name} has {error}", HINT) from None
    except OSError as error:
        raise BundleError(f"cannot read {name}: {error.strerror}", HINT) from None
