"""Run the frozen part of a network on the fastest available engine: ONNX Runtime on a CPU, torch on CUDA or MPS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import BundleError, DivergedError
from lungfish.core.hashing import sha256_bytes, sha256_json
from lungfish.exporters.exporter import GraphSpec
from lungfish.exporters.onnx_graph import boundary_graph, trunk_graph
from lungfish.runtime.engines.onnx.engine import ACTIVATIONS, OnnxEngine, runtime_name
from lungfish.training.torch_install import has_torch
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.load import to_network
from lungfish.weights.network_weights import NetworkWeights

if TYPE_CHECKING:
    import torch

    from lungfish.data.loading.activations import FrozenPart
    from lungfish.data.scan.features import Trunk

ROWS = 32  # rows per call of an accelerator


def open_trunk(network: NetworkWeights, entry: WeightsEntry) -> Trunk:
    """Return the network up to its classifier as a function of uint8 pixels.

    Args:
        network: Network with the weights of `entry`.
        entry: Weights; defines the normalization of the pixels.
    """
    device = _accelerator()
    return OnnxTrunk(network, entry) if device is None else TorchTrunk(network, entry, device)


class OnnxTrunk:
    """A trunk on ONNX Runtime, with one thread per call; call it from as many threads as there are cores.

    On two cores this is 10 to 25 % faster than two threads within each call, and photos are decoded meanwhile.
    """

    def __init__(self, network: NetworkWeights, entry: WeightsEntry) -> None:
        graph = _trunk_bytes(network, entry)
        self._engine = OnnxEngine(graph, threads=1, output="features")
        self.width = self._engine.classes
        self.resolution_px = network.arch.resolution_px
        self.key = sha256_json([sha256_bytes(graph), runtime_name()])

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        return self._engine.run(pixels)


class TorchTrunk:
    """A trunk as a torch module on an accelerator, in float32."""

    def __init__(self, network: NetworkWeights, entry: WeightsEntry, device: str) -> None:
        import torch

        self._network = to_network(network).to(device).to(memory_format=torch.channels_last)
        self._device, self._entry = device, entry
        self.width = network.arch.head_width
        self.key = sha256_json([sha256_bytes(_trunk_bytes(network, entry)), f"torch {torch.__version__} {device}"])

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            x_nchw = normalized(torch.from_numpy(pixels).to(self._device), self._entry)
            features: NDArray[np.float32] = self._network.features(x_nchw).float().cpu().numpy()
        return features


def open_boundary(network: NetworkWeights, entry: WeightsEntry, block: int) -> FrozenPart:
    """Return the network up to the input of a block, as a function of uint8 pixels.

    Args:
        network: Network with the weights.
        entry: Origin of the weights; defines the normalization of the pixels.
        block: Index of the first block that is not frozen; the number of blocks if all are.

    Raises:
        ArchitectureError: There is no such block.
    """
    device = _accelerator()
    if device is None:
        return BoundaryTrunk(network, entry, block)
    return TorchBoundaryTrunk(network, entry, block, device)


class BoundaryTrunk:
    """The frozen part on ONNX Runtime, with one thread per call like `OnnxTrunk`.

    Attributes:
        key: Hash of the graph and the engine.
        shape: Channels, height and width of the output for one photo.
    """

    def __init__(self, network: NetworkWeights, entry: WeightsEntry, block: int) -> None:
        graph = _boundary_bytes(network, entry, block)
        self._engine = OnnxEngine(graph, threads=1, output=ACTIVATIONS)
        channels, height, width = self._engine.shape
        self.shape = channels, height, width
        self.key = sha256_json([sha256_bytes(graph), runtime_name()])

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float16]:
        """Compute float16 `[n, *shape]` from uint8 `[n, height, width, 3]`. Raises `DivergedError` on overflow."""
        try:
            return self._engine.run(pixels)
        except BundleError as error:
            raise DivergedError(
                f"the frozen part of the network: {error.message}",
                "Activations may overflow float16: leave [finetune] out of the recipe.",
            ) from None


class TorchBoundaryTrunk:
    """The frozen part on an accelerator, computed in float32; same attributes as `BoundaryTrunk`."""

    def __init__(self, network: NetworkWeights, entry: WeightsEntry, block: int, device: str) -> None:
        import torch

        graph = _boundary_bytes(network, entry, block)
        whole = to_network(network)
        part = torch.nn.Sequential(whole.stem, *whole.blocks[:block])
        self._part = part.to(device).to(memory_format=torch.channels_last)
        self._device, self._entry = device, entry
        side = network.arch.resolution_px
        channels, height, width = self._run(np.zeros((1, side, side, 3), np.uint8)).shape[1:]
        self.shape = channels, height, width
        self.key = sha256_json([sha256_bytes(graph), f"torch {torch.__version__} {device}"])

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float16]:
        """Compute float16 `[n, *shape]` from uint8 `[n, height, width, 3]`."""
        # always the same number of rows, so that the kernels, and the bits, do not depend on the other photos
        padded = np.zeros((-(-len(pixels) // ROWS) * ROWS, *pixels.shape[1:]), np.uint8)
        padded[: len(pixels)] = pixels
        parts = [self._run(padded[start : start + ROWS]) for start in range(0, len(padded), ROWS)]
        return np.concatenate(parts or [np.empty((0, *self.shape), np.float16)])[: len(pixels)]

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        import torch

        with torch.inference_mode():
            x_nchw: torch.Tensor = self._part(normalized(torch.from_numpy(pixels).to(self._device), self._entry))
            return x_nchw.half().cpu().numpy()


def _trunk_bytes(network: NetworkWeights, entry: WeightsEntry) -> bytes:
    """Return the network up to its classifier as ONNX; the hash of these bytes identifies the computation."""
    spec = GraphSpec(entry.mean, entry.std)
    model = trunk_graph(network.arch, network.flavour, network.arrays, spec)
    return bytes(model.SerializeToString(deterministic=True))


def _boundary_bytes(network: NetworkWeights, entry: WeightsEntry, block: int) -> bytes:
    """Return the frozen part as ONNX; the hash of these bytes identifies the computation."""
    spec = GraphSpec(entry.mean, entry.std)
    model = boundary_graph(network.arch, network.flavour, network.arrays, spec, block)
    return bytes(model.SerializeToString(deterministic=True))


def normalized(pixels: torch.Tensor, entry: WeightsEntry) -> torch.Tensor:
    """Return uint8 `[n, height, width, 3]` as the float `[n, 3, height, width]` that the entry's weights expect."""
    import torch

    mean = pixels.new_tensor(entry.mean, dtype=torch.float32)
    std = pixels.new_tensor(entry.std, dtype=torch.float32)
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)


def _accelerator() -> str | None:
    """Return torch's device for a GPU; None if there is none, or no torch."""
    if not has_torch():
        return None
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None
