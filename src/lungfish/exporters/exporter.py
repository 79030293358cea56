"""What every exporter is, and what it takes: a network as numpy arrays becomes the files of one format."""

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
    """What surrounds the network inside the graph.

    Args:
        mean: subtracted from each channel's uint8 level.
        std: divides it afterwards.
        metadata: text that travels in the file (labels, preprocessing).
    """

    mean: Floats
    std: Floats
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Exportable:
    """A trained network as arrays: all that an exporter needs.

    Args:
        arch: The network.
        flavour: Its padding and epsilon.
        state: Its tensors by their torch names, float32; the temperature is in the classifier's.
        spec: Normalization and metadata.
    """

    arch: Arch
    flavour: Flavour
    state: State
    spec: GraphSpec


class Exporter(Protocol):
    """Writes FP32 files of one format."""

    @property
    def packages(self) -> tuple[str, ...]:
        """The installed packages whose versions decide the bytes."""

    def write(self, network: Exportable, folder: Path, stem: str) -> tuple[str, ...]:
        """Write the files; the same network gives the same bytes.

        Args:
            network: What to write: uint8 RGB `[batch, height, width, 3]` in, float32 `[batch, classes]` out.
            folder: Where to write; exists.
            stem: Name of the main file, without its suffix.

        Returns:
            The names of the files below `folder`, with slashes, the main file first.
        """
