"""The protocol of exporters, and their input: a trained network as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch, Flavour

State = Mapping[str, NDArray[np.float32]]
Floats = tuple[float, float, float]


@dataclass(frozen=True)
class GraphSpec:
    """The normalization and metadata to write into the graph.

    Args:
        mean: Mean of each channel, 0 to 255, subtracted from the pixels.
        std: Standard deviation of each channel, by which the difference is divided.
        metadata: Strings to store in the file by key: labels and preprocessing.
    """

    mean: Floats
    std: Floats
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Exportable:
    """A trained network as numpy arrays, the input of an exporter.

    Args:
        arch: The architecture.
        flavour: Padding and batch-norm epsilon.
        state: float32 arrays by torch name; the classifier's are already divided by the temperature.
        spec: Normalization and metadata.
    """

    arch: Arch
    flavour: Flavour
    state: State
    spec: GraphSpec


class Exporter(Protocol):
    """Write FP32 files of one format."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages whose version can change the bytes of the files."""

    def write(self, network: Exportable, folder: Path, stem: str) -> tuple[str, ...]:
        """Write the files; the same network gives the same bytes.

        The model takes uint8 RGB `[batch, height, width, 3]` and returns float32 `[batch, classes]`.

        Args:
            network: The network to write.
            folder: Folder to write to; must exist.
            stem: Name of the main file without its suffix.

        Returns:
            Paths of the files relative to `folder`, separated by `/`, the main file first.
        """
