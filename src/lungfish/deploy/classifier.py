"""Define what is deployed: a trained network with everything that its artifacts need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.deploy.reference import reference_logits
from lungfish.exporters.artifact import Artifact, write_artifact
from lungfish.exporters.exporter import Exportable, GraphSpec
from lungfish.runtime.metadata import graph_metadata
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.safetensors import safetensors_bytes
from lungfish.weights.network_weights import NetworkWeights

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network.

    Args:
        network: Network with the classifier for `labels`, with neither batch normalization nor temperature folded in.
        temperature: Divisor of its logits.
        labels: Labels in class order.
        preprocess: Resize rule.
        entry: Weights that it started from; defines how pixels are normalized.
        module: Torch network to compare the artifacts with, if trained outside Lungfish; None to build it from
            `network`.
    """

    network: NetworkWeights
    temperature: float
    labels: tuple[str, ...]
    preprocess: Preprocessing
    entry: WeightsEntry
    module: nn.Module | None = None

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the reference for the artifacts: uint8 `[n, height, width, 3]` to float32 `[n, classes]`."""
        from scipy.special import softmax

        logits = reference_logits(self.network, self.entry, pixels, self.module)
        probabilities: NDArray[np.float32] = softmax(logits / np.float32(self.temperature), axis=1)
        return probabilities

    def write(self, folder: Path, stem: str = "model") -> Artifact:
        """Write the FP32 artifact: uint8 pixels to probabilities, with the temperature folded into the classifier."""
        state = dict(self.network.arrays)
        for name in ("classifier.weight", "classifier.bias"):
            state[name] = state[name] / np.float32(self.temperature)
        spec = GraphSpec(self.entry.mean, self.entry.std, graph_metadata(self.labels, self.preprocess))
        return write_artifact(Exportable(self.network.arch, self.network.flavour, state, spec), folder, stem)

    def write_safetensors(self, path: Path) -> None:
        """Write the arrays of the network, under Lungfish's names, as safetensors."""
        path.write_bytes(safetensors_bytes(self.network.arrays))  # safetensors' save_file hides the system's errors
