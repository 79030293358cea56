import numpy as np
import pytest

from lungfish.architecture import parse_arch
from lungfish.nn import build
from lungfish.weights.load import from_network, to_network
from lungfish.weights.network_weights import NetworkWeights

NAME = "mobilenet_v1:width=0.25,resolution=64,classes=5"


@pytest.fixture
def weights() -> NetworkWeights:
    return from_network(build(parse_arch(NAME), seed=0))


def test_to_torch_and_back(weights: NetworkWeights) -> None:
    again = from_network(to_network(weights))
    assert again.arch == weights.arch
    assert again.sha256() == weights.sha256()


def test_a_network_of_torch_is_copied() -> None:
    network = build(parse_arch(NAME), seed=0)
    weights = from_network(network)
    network.classifier.weight.data.zero_()
    assert weights.arrays["classifier.weight"].any()


def test_another_classifier_changes_nothing_else(weights: NetworkWeights) -> None:
    width = weights.arch.head_width
    other = weights.with_classifier(np.ones((2, width), np.float32), np.zeros(2, np.float32))
    assert other.arch.classes == 2
    assert list(other.arrays) == list(weights.arrays)
    assert all(other.arrays[name] is array for name, array in weights.arrays.items() if "classifier" not in name)
    assert weights.arch.classes == 5
    assert not weights.with_new_classifier(3).arrays["classifier.weight"].any()


def test_another_resolution(weights: NetworkWeights) -> None:
    assert weights.at_resolution(64) is weights
    assert weights.at_resolution(96).arch.resolution_px == 96
    assert weights.at_resolution(96).arrays is weights.arrays
