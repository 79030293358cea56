"""Define what is deployed: a trained network with everything that its artifacts need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.exporters.artifact import Artifact, write_artifact
from lungfish.exporters.exporter import Exportable, GraphSpec, State
from lungfish.runtime.metadata import graph_metadata
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.trunk import network_state, normalized
from lungfish.weights.entry import WeightsEntry

if TYPE_CHECKING:
    from lungfish.nn import Network


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network, in eval mode on the CPU.

    Args:
        network: Network with the classifier for `labels`.
        temperature: Divisor of its logits.
        labels: Labels in class order.
        preprocess: Resize rule.
        entry: Weights that it started from; defines how pixels are normalized.
    """

    network: Network
    temperature: float
    labels: tuple[str, ...]
    preprocess: Preprocessing
    entry: WeightsEntry

    def state(self) -> State:
        """Return the network's tensors as trained, with neither batch normalization nor the temperature folded in."""
        return network_state(self.network)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the reference for the artifacts with torch: uint8 `[n, height, width, 3]` to `[n, classes]`."""
        import torch

        with torch.inference_mode():
            logits = self.network(normalized(torch.from_numpy(pixels), self.entry))
            result: NDArray[np.float32] = (logits / self.temperature).softmax(dim=1).numpy()
        return result

    def write(self, folder: Path, stem: str = "model") -> Artifact:
        """Write the FP32 artifact: uint8 pixels to probabilities, with the temperature folded into the classifier."""
        state = dict(self.state())
        for name in ("classifier.weight", "classifier.bias"):
            state[name] = state[name] / np.float32(self.temperature)
        spec = GraphSpec(self.entry.mean, self.entry.std, graph_metadata(self.labels, self.preprocess))
        return write_artifact(Exportable(self.network.arch, self.network.flavour, state, spec), folder, stem)

    def write_safetensors(self, path: Path) -> None:
        """Write the tensors of `state`, which are floats, by their torch names."""
        from safetensors.numpy import save

        # save_file of safetensors hides the operating system's errors
        path.write_bytes(save({name: np.asarray(tensor, order="C") for name, tensor in self.state().items()}))
