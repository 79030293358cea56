from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lungfish.architecture import Flavour, parse_arch
from lungfish.core.errors import DivergedError
from lungfish.data.loading.activations import FrozenPart
from lungfish.nn import Network, build
from lungfish.training import trunk as trunks
from lungfish.training.trunk import (
    BoundaryTrunk,
    OnnxTrunk,
    TorchBoundaryTrunk,
    TorchTrunk,
    normalized,
    open_boundary,
    open_trunk,
)
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.load import from_network
from lungfish.weights.network_weights import NetworkWeights

SMALL = "efficientnet_lite0:width=0.2,depth=0.3,resolution=64"


def lite0() -> WeightsEntry:
    entry = find_entry("efficientnet_lite0.in1k")
    assert entry is not None
    return entry


def random_weights(name: str, flavour: Flavour | None = None, seed: int = 0) -> NetworkWeights:
    return from_network(build(parse_arch(name), flavour or lite0().flavour, seed=seed))


def boundaries(network: Network, block: int) -> tuple[FrozenPart, ...]:
    """The frozen part on both engines."""
    weights = from_network(network)
    return BoundaryTrunk(weights, lite0(), block), TorchBoundaryTrunk(weights, lite0(), block, "cpu")


@pytest.fixture
def network() -> Network:
    return build(parse_arch(SMALL), lite0().flavour, seed=0).eval()


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)


def test_the_graph_computes_what_torch_computes(network: Network, pixels: np.ndarray) -> None:
    entry = lite0()
    on_onnx, on_torch = OnnxTrunk(from_network(network), entry), TorchTrunk(from_network(network), entry, "cpu")
    features = on_onnx(pixels)
    assert features.shape == (5, on_onnx.width) == (5, on_torch.width)
    assert features.dtype == np.float32
    assert np.ptp(features) > 0.1
    np.testing.assert_allclose(features, on_torch(pixels), atol=1e-4)


def test_a_photo_has_the_same_bits_in_any_company(network: Network, pixels: np.ndarray) -> None:
    trunk = OnnxTrunk(from_network(network), lite0())
    together = trunk(pixels)
    for i in range(len(pixels)):
        assert trunk(pixels[i : i + 1])[0].tobytes() == together[i].tobytes()


def test_open_trunk_takes_the_fastest_engine_at_hand(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert isinstance(open_trunk(from_network(network), lite0()), OnnxTrunk)


def test_the_key_stays_and_changes_as_it_must(network: Network) -> None:
    entry = lite0()
    key = OnnxTrunk(from_network(network), entry).key
    assert OnnxTrunk(random_weights(SMALL), entry).key == key
    others = {
        "weights": OnnxTrunk(random_weights(SMALL, seed=1), entry).key,
        "mean": OnnxTrunk(from_network(network), replace(entry, mean=(0.0, 0.0, 0.0))).key,
        "std": OnnxTrunk(from_network(network), replace(entry, std=(1.0, 1.0, 1.0))).key,
        "architecture": OnnxTrunk(
            from_network(build(parse_arch(f"{SMALL},depth=0.6"), entry.flavour, seed=0)), entry
        ).key,
        "resolution": OnnxTrunk(
            from_network(build(parse_arch(SMALL.replace("64", "96")), entry.flavour, seed=0)), entry
        ).key,
        "flavour": OnnxTrunk(random_weights(SMALL, Flavour("symmetric", 1e-5)), entry).key,
        "engine": TorchTrunk(from_network(network), entry, "cpu").key,
    }
    assert key not in others.values()
    assert len(set(others.values())) == len(others)


def zero(network: Network, parameter: str) -> None:
    torch.nn.init.zeros_(network.get_parameter(parameter))


@pytest.mark.parametrize("block", [0, 3])
def test_the_frozen_part_computes_what_torch_computes(network: Network, pixels: np.ndarray, block: int) -> None:
    entry = lite0()
    with torch.inference_mode():
        entering = network.blocks[:block](network.stem(normalized(torch.from_numpy(pixels), entry))).numpy()
    for part in (
        BoundaryTrunk(from_network(network), entry, block),
        TorchBoundaryTrunk(from_network(network), entry, block, "cpu"),
    ):
        activations = part(pixels)
        assert activations.dtype == np.float16
        assert activations.shape == (5, *part.shape) == entering.shape
        assert np.ptp(activations) > 0.1
        np.testing.assert_allclose(activations, entering, rtol=2**-11, atol=1e-4 * np.ptp(entering))
        assert part(pixels[:0]).shape == (0, *part.shape)


def test_activations_have_the_same_bits_in_any_company(
    network: Network, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trunks, "ROWS", 2)
    for part in (
        BoundaryTrunk(from_network(network), lite0(), 3),
        TorchBoundaryTrunk(from_network(network), lite0(), 3, "cpu"),
    ):
        together = part(pixels)
        for i in range(len(pixels)):
            assert part(pixels[i : i + 1])[0].tobytes() == together[i].tobytes()


def test_the_frozen_part_is_a_snapshot(network: Network, pixels: np.ndarray) -> None:
    parts: tuple[FrozenPart, ...] = (
        BoundaryTrunk(from_network(network), lite0(), 3),
        TorchBoundaryTrunk(from_network(network), lite0(), 3, "cpu"),
    )
    before = [part(pixels) for part in parts]
    zero(network, "stem.conv.weight")
    network.train()
    for part, activations in zip(parts, before, strict=True):
        np.testing.assert_array_equal(part(pixels), activations)


def test_the_key_of_a_frozen_part_knows_what_is_before_the_boundary(network: Network) -> None:
    entry = lite0()
    key = BoundaryTrunk(from_network(network), entry, 3).key
    zero(network, "blocks.3.project.conv.weight")
    zero(network, "classifier.weight")
    assert BoundaryTrunk(from_network(network), entry, 3).key == key
    others = {
        BoundaryTrunk(from_network(network), entry, 2).key,
        TorchBoundaryTrunk(from_network(network), entry, 3, "cpu").key,
    }
    zero(network, "blocks.2.project.conv.weight")
    others.add(BoundaryTrunk(from_network(network), entry, 3).key)
    assert len(others | {key}) == 4


def test_open_boundary_takes_the_fastest_engine_at_hand(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "_accelerator", lambda: None)
    assert isinstance(open_boundary(from_network(network), lite0(), 1), BoundaryTrunk)
    monkeypatch.setattr(trunks, "_accelerator", lambda: "cpu")
    assert isinstance(open_boundary(from_network(network), lite0(), 1), TorchBoundaryTrunk)


def test_normalized_pixels() -> None:
    entry = lite0()
    pixels = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    x_nchw = normalized(pixels, entry)
    assert x_nchw.shape == (1, 3, 1, 1)
    expected = (np.array([0, 127, 255]) - np.array(entry.mean)) / np.array(entry.std)
    np.testing.assert_allclose(x_nchw.flatten().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("trunk", [OnnxTrunk, TorchTrunk])
def test_weights_whose_hash_was_never_published_have_keys_of_their_own(trunk: Any) -> None:
    """As most of the catalogue, until they are fetched."""
    entry = replace(lite0(), sha256="")
    arguments = ("cpu",) if trunk is TorchTrunk else ()
    keys = {
        trunk(from_network(build(parse_arch(SMALL), entry.flavour, seed=seed)), entry, *arguments).key
        for seed in (0, 1, 1)
    }
    assert len(keys) == 2


def test_activations_that_do_not_fit_16_bits(network: Network, pixels: np.ndarray) -> None:
    """An error that the climb can go on from."""
    with torch.no_grad():
        network.get_parameter("blocks.0.project.norm.bias").fill_(1e5)
    with pytest.raises(DivergedError, match=r"frozen part .* not finite") as caught:
        BoundaryTrunk(from_network(network), lite0(), 1)(pixels)
    assert "leave [finetune] out" in caught.value.hint
