import numpy as np
import pytest
import torch

from lungfish.architecture import parse_arch
from lungfish.nn import Network, build
from lungfish.training.class_maps import class_maps
from lungfish.training.trunk import normalized
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.load import from_network

WITH_HEAD, WITHOUT_HEAD = (
    "efficientnet_lite0:width=0.2,depth=0.3,resolution=96",
    "mobilenet_v1:width=0.25,resolution=96",
)


def lite0() -> WeightsEntry:
    entry = find_entry("efficientnet_lite0.in1k")
    assert entry is not None
    return entry


def network_of(name: str) -> Network:
    return build(parse_arch(name), lite0().flavour, seed=0).eval()


def pixels_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", [WITH_HEAD, WITHOUT_HEAD])
def test_it_is_the_class_activation_map(name: str) -> None:
    """As arXiv:1512.04150 defines it."""
    network, pixels, classes = network_of(name), pixels_of(3), np.array([0, 7, 999])
    with torch.no_grad():
        maps = network.head(network.blocks(network.stem(normalized(torch.from_numpy(pixels), lite0()))))
        weight = network.classifier.weight[torch.from_numpy(classes)]
        expected = torch.einsum("nc,nchw->nhw", weight, maps).relu() / maps[0, 0].numel()
    assert maps.shape[2:] == (3, 3)
    assert expected.max() > 0
    found = class_maps(from_network(network), lite0(), pixels, classes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-7)


def test_no_photo_changes_another() -> None:
    network, pixels = network_of(WITH_HEAD), pixels_of(5)
    classes = np.arange(len(pixels))
    together = class_maps(from_network(network), lite0(), pixels, classes)
    assert together.shape == (5, 3, 3)
    for i in (0, 4):
        alone = class_maps(from_network(network), lite0(), pixels[i : i + 1], classes[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-4, atol=1e-7)


def test_pixels_that_must_not_be_written() -> None:
    pixels = pixels_of(1)
    pixels.flags.writeable = False
    assert class_maps(from_network(network_of(WITH_HEAD)), lite0(), pixels, np.array([1])).shape == (1, 3, 3)
