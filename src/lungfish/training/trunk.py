"""The frozen trunk on the fastest engine at hand: ONNX Runtime on a CPU, torch on CUDA or MPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.core.hashing import sha256_bytes, sha256_json
from lungfish.export.onnx_graph import GraphSpec, trunk_graph
from lungfish.runtime.session import Session, runtime_name
from lungfish.weights.entry import WeightsEntry

if TYPE_CHECKING:
    import torch

    from lungfish.data.features import Trunk
    from lungfish.nn import Network


def open_trunk(network: Network, entry: WeightsEntry) -> Trunk:
    """The network up to its classifier, as a function of uint8 pixels.

    Args:
        network: in eval mode, holding the entry's weights.
        entry: where they came from; says how pixels are normalized.
    """
    device = _accelerator()
    return OnnxTrunk(network, entry) if device is None else TorchTrunk(network, entry, device)


class OnnxTrunk:
    """One thread per call; the caller calls from as many threads as there are cores.

    On two cores this was 10 to 25 % faster than two threads within each call, and the decoding overlaps for free.
    """

    def __init__(self, network: Network, entry: WeightsEntry) -> None:
        spec = GraphSpec(entry.normalization.mean, entry.normalization.std)
        model = trunk_graph(network.arch, network.flavour, network_state(network), spec)
        graph = model.SerializeToString(deterministic=True)
        self._session = Session(graph, threads=1, output="features")
        self.width = self._session.classes
        self.key = sha256_json([sha256_bytes(graph), runtime_name()])  # the graph is all that matters, and holds it all

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        return self._session.run(pixels)


class TorchTrunk:
    """The torch module on an accelerator, in float32."""

    def __init__(self, network: Network, entry: WeightsEntry, device: str) -> None:
        import torch

        self._network = network.to(device).to(memory_format=torch.channels_last)
        self._device, self._entry = device, entry
        self.width = network.classifier.in_features
        self.key = sha256_json(
            {
                "weights": entry.sha256,
                "architecture": network.arch.to_json(),
                "flavour": [network.flavour.padding, network.flavour.bn_eps],
                "normalization": [entry.normalization.mean, entry.normalization.std],
                "engine": f"torch {torch.__version__} {device}",
            }
        )

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            x_nchw = normalized(torch.from_numpy(pixels).to(self._device), self._entry)
            features: NDArray[np.float32] = self._network.features(x_nchw).float().cpu().numpy()
        return features


def network_state(network: Network) -> dict[str, NDArray[np.float32]]:
    """The network's tensors as numpy arrays on the CPU, by their torch names."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def normalized(pixels: torch.Tensor, entry: WeightsEntry) -> torch.Tensor:
    """uint8 `[n, height, width, 3]` to the float `[n, 3, height, width]` that the entry's weights expect."""
    import torch

    mean = pixels.new_tensor(entry.normalization.mean, dtype=torch.float32)
    std = pixels.new_tensor(entry.normalization.std, dtype=torch.float32)
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)


def _accelerator() -> str | None:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None
