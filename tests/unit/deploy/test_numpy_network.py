"""The reference of an install without torch computes what torch computes, and finds faults of an exporter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lungfish.architecture import Flavour, parse_arch
from lungfish.core.errors import ParityError
from lungfish.deploy import numpy_network, reference
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.numpy_network import logits
from lungfish.deploy.proof import check_parity
from lungfish.exporters import onnx_graph
from lungfish.nn import Network, build
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import from_network, load_weights, to_network
from lungfish.weights.network_weights import NetworkWeights

FLAVOURS = {"same": Flavour(), "symmetric": Flavour("symmetric", 1e-5)}
FAMILIES = (
    "mobilenet_v1:width=0.25,resolution=65",
    "mobilenet_v1_full:width=0.25,resolution=64",
    "mobilenet_v2:width=0.35,resolution=96",
    "efficientnet_b0:width=0.3,depth=0.5,resolution=64",
    "efficientnet_lite0:width=0.3,depth=0.5,resolution=63",
)


def with_statistics(network: Network) -> NetworkWeights:
    """As after training: batch norms with the statistics of some pictures, scales and shifts of their own."""
    side = network.arch.resolution_px
    generator = torch.Generator().manual_seed(0)
    network.eval()  # dropout and drop path are random, and would give other statistics than those of inference
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train().momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    with torch.no_grad():
        network(torch.rand(8, 3, side, side, generator=generator))
    return from_network(network)


@pytest.mark.parametrize("flavour", FLAVOURS.values(), ids=FLAVOURS)
@pytest.mark.parametrize("name", FAMILIES)
def test_it_computes_what_torch_computes(name: str, flavour: Flavour) -> None:
    network = with_statistics(build(parse_arch(name), flavour, seed=0))
    side = network.arch.resolution_px
    x_nchw = np.random.default_rng(1).random((3, 3, side, side)) * np.reshape([0.25, 0.5, 1], (3, 1, 1, 1))
    with torch.inference_mode():
        expected = to_network(network).double()(torch.from_numpy(x_nchw)).numpy()
    assert expected.std(axis=0).max() > 1e-3 * np.abs(expected).max()  # the photos differ
    np.testing.assert_allclose(logits(network, x_nchw), expected, rtol=1e-9, atol=1e-12)
    single = logits(network, x_nchw.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())


def test_it_is_as_short_as_its_page_says() -> None:
    assert len(inspect.getsource(numpy_network).splitlines()) <= 100  # docs/learn/numpy-network.md


def unfolded_mean(graph: Any, op: Any) -> tuple[Any, Any]:
    weight, _ = FOLDED(graph, op)
    return weight, graph.state[op.name.removesuffix(".conv") + ".norm.bias"]


FOLDED = onnx_graph._Graph._folded


def transposed(network: NetworkWeights) -> NetworkWeights:
    arrays = {
        name: array.swapaxes(2, 3) if name.endswith("depthwise.conv.weight") else array
        for name, array in network.arrays.items()
    }
    return replace(network, arrays=arrays)


# what an exporter that makes this mistake would write
FAULTS: dict[str, Callable[[NetworkWeights], NetworkWeights]] = {
    "padding": lambda network: replace(network, flavour=Flavour("symmetric", network.flavour.bn_eps)),
    "epsilon": lambda network: replace(network, flavour=Flavour(network.flavour.padding, 2e-2)),
    "transposed kernels": transposed,
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Classifier:
    """The packaged weights with a head of three classes, on a machine without torch."""
    monkeypatch.setattr(reference, "has_torch", lambda: False)
    entry = find_entry("efficientnet_lite0.in1k")
    assert entry is not None
    network = load_weights(entry, parse_arch("efficientnet_lite0:resolution=64"))
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, network.arch.head_width)).astype(np.float32) / 10
    network = network.with_classifier(weight, np.zeros(3, np.float32))
    return Classifier(network, 1.0, ("a", "b", "c"), Preprocessing(64), entry)


def test_a_right_file_passes(trained: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    assert check_parity(trained, trained.write(tmp_path), pixels) < 1e-5


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found(trained: Classifier, pixels: np.ndarray, tmp_path: Path, fault: str) -> None:
    artifact = replace(trained, network=FAULTS[fault](trained.network)).write(tmp_path)
    with pytest.raises(ParityError, match="does not compute the same as the network"):
        check_parity(trained, artifact, pixels)


def test_a_wrong_fold_is_found(
    trained: Classifier, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph._Graph, "_folded", unfolded_mean)
    with pytest.raises(ParityError, match="does not compute the same as the network"):
        check_parity(trained, trained.write(tmp_path), pixels)
