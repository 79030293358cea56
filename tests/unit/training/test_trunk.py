from dataclasses import replace

import numpy as np
import pytest
import torch

from lungfish.architecture import Flavour, parse_arch
from lungfish.nn import Network, build
from lungfish.training.trunk import OnnxTrunk, TorchTrunk, network_state, normalized, open_trunk
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry

SMALL = "efficientnet_lite0:width=0.2,depth=0.3,resolution=64"


def lite0() -> WeightsEntry:
    entry = find_entry("efficientnet_lite0.in1k")
    assert entry is not None
    return entry


@pytest.fixture
def network() -> Network:
    return build(parse_arch(SMALL), lite0().flavour, seed=0).eval()


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


def test_the_graph_computes_what_torch_computes(network: Network, pixels: np.ndarray) -> None:
    entry = lite0()
    on_onnx, on_torch = OnnxTrunk(network, entry), TorchTrunk(network, entry, "cpu")
    features = on_onnx(pixels)
    assert features.shape == (5, on_onnx.width) == (5, on_torch.width)
    assert features.dtype == np.float32
    assert np.ptp(features) > 0.1
    np.testing.assert_allclose(features, on_torch(pixels), atol=1e-4)


def test_a_photo_has_the_same_bits_in_any_company(network: Network, pixels: np.ndarray) -> None:
    trunk = OnnxTrunk(network, lite0())
    together = trunk(pixels)
    for i in range(len(pixels)):
        assert trunk(pixels[i : i + 1])[0].tobytes() == together[i].tobytes()


def test_open_trunk_takes_the_fastest_engine_at_hand(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert isinstance(open_trunk(network, lite0()), OnnxTrunk)


def test_the_key_stays_and_changes_as_it_must(network: Network) -> None:
    entry = lite0()
    key = OnnxTrunk(network, entry).key
    assert OnnxTrunk(build(parse_arch(SMALL), entry.flavour, seed=0).eval(), entry).key == key
    normalization = entry.normalization
    others = {
        "weights": OnnxTrunk(build(parse_arch(SMALL), entry.flavour, seed=1).eval(), entry).key,
        "mean": OnnxTrunk(network, replace(entry, normalization=replace(normalization, mean=(0.0, 0.0, 0.0)))).key,
        "std": OnnxTrunk(network, replace(entry, normalization=replace(normalization, std=(1.0, 1.0, 1.0)))).key,
        "architecture": OnnxTrunk(build(parse_arch(f"{SMALL},depth=0.6"), entry.flavour, seed=0).eval(), entry).key,
        "resolution": OnnxTrunk(build(parse_arch(SMALL.replace("64", "96")), entry.flavour, seed=0).eval(), entry).key,
        "flavour": OnnxTrunk(build(parse_arch(SMALL), Flavour("symmetric", 1e-5), seed=0).eval(), entry).key,
        "engine": TorchTrunk(network, entry, "cpu").key,
    }
    assert key not in others.values()
    assert len(set(others.values())) == len(others)


def test_state_is_a_copy_of_the_floats_by_their_names(network: Network) -> None:
    state = network_state(network)
    assert set(state) == set(network.state_dict())
    np.testing.assert_array_equal(state["stem.conv.weight"], network.stem.conv.weight.detach().numpy())


def test_normalized_pixels() -> None:
    entry = lite0()
    pixels = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    x_nchw = normalized(pixels, entry)
    assert x_nchw.shape == (1, 3, 1, 1)
    expected = (np.array([0, 127, 255]) - np.array(entry.normalization.mean)) / np.array(entry.normalization.std)
    np.testing.assert_allclose(x_nchw.flatten().numpy(), expected, rtol=1e-6)
