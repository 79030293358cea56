"""Show which parts of a photo support a class: class activation maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungfish.exporters.exporter import GraphSpec
from lungfish.exporters.onnx_graph import class_map_graph
from lungfish.runtime.engines.onnx.engine import CLASS_MAPS, OnnxEngine
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.network_weights import NetworkWeights


def class_maps(
    network: NetworkWeights, entry: WeightsEntry, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return how much each position of the last feature map adds to the logit of a class; negative values become 0.

    The logit is the sum of the map plus a bias, since the networks end in average pooling and a linear classifier.

    Args:
        network: Architecture and weights.
        entry: Weights that the network started from; defines the normalization of the pixels.
        pixels: uint8 `[n, height, width, 3]`.
        classes: int `[n]`, the class to explain for each photo.

    Returns:
        float32 `[n, rows, columns]`: 7 x 7 positions for 224 x 224 pixels.

    Source: arXiv:1512.04150.
    """
    graph = class_map_graph(network.arch, network.flavour, network.arrays, GraphSpec(entry.mean, entry.std))
    maps: NDArray[np.float32] = OnnxEngine(graph.SerializeToString(), output=CLASS_MAPS, trusted=True).run(pixels)
    return np.maximum(maps[np.arange(len(pixels)), classes], 0)
