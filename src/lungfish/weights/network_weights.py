"""Represent a network as numpy arrays, the form that is converted, exported, quantized and proven without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch, Flavour
from lungfish.core.hashing import sha256_bytes

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class NetworkWeights:
    """An architecture and its weights.

    Args:
        arch: The architecture.
        flavour: Padding and batch-norm epsilon that the weights were trained with.
        arrays: Arrays by name, in the order of `array_shapes(arch)`: float32, except for the batch counters.
    """

    arch: Arch
    flavour: Flavour
    arrays: Arrays

    def with_classifier(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NetworkWeights:
        """Return the network with its classifier replaced.

        Args:
            weight: float32 `[classes, features]`.
            bias: float32 `[classes]`.
        """
        arrays = {**self.arrays, "classifier.weight": weight, "classifier.bias": bias}
        return NetworkWeights(self.arch.with_classes(len(bias)), self.flavour, arrays)

    def with_new_classifier(self, classes: int) -> NetworkWeights:
        """Return the network with a classifier of zeros."""
        return self.with_classifier(
            np.zeros((classes, self.arch.head_width), np.float32), np.zeros(classes, np.float32)
        )

    def at_resolution(self, resolution_px: int) -> NetworkWeights:
        """Return the network with this input resolution; the weights do not depend on it."""
        if resolution_px == self.arch.resolution_px:
            return self
        return replace(self, arch=self.arch.scale(resolution=resolution_px))

    def sha256(self) -> str:
        """Return a hash of the values in all arrays."""
        return sha256_bytes(b"".join(np.ascontiguousarray(each).data for each in self.arrays.values()))
