"""Networks by the names and shapes of their tensors."""

import numpy as np
import pytest

from lungfish.architecture import parse_arch
from lungfish.weights.convert.recognition import CANDIDATES, recognize
from lungfish.weights.layouts import find_layout, tensor_slots


def state(name: str, source: str, classes: int = 1000) -> dict[str, np.ndarray]:
    """A checkpoint without numbers: every array is a view of one zero."""
    arch = parse_arch(name).with_classes(classes)
    rows = tensor_slots(arch, find_layout(source, arch)).values()
    return {place.name: np.broadcast_to(np.float32(0), place.shape) for place in rows}


@pytest.mark.parametrize("name", [name for name in CANDIDATES if name != "mobilenet_v1_full"])  # which no library has
def test_every_network_is_told_from_the_others(name: str) -> None:
    assert parse_arch(recognize(state(name, "timm"), "timm") or "") == parse_arch(name)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mobilenet_v1:width=0.25", "slim"),
        ("mobilenet_v2:width=1.4", "slim"),
        ("efficientnet_b0", "tpu"),
        ("efficientnet_lite3", "tpu"),
        ("efficientnet_b2", "torchvision"),
        ("mobilenet_v2:width=0.35", "keras"),
        ("efficientnet_lite1", "packaged"),
    ],
)
def test_in_the_names_of_each_library(name: str, source: str) -> None:
    assert recognize(state(name, source), source) == name


def test_classes() -> None:
    assert recognize(state("mobilenet_v2", "timm", 7), "timm") == "mobilenet_v2:classes=7"
    assert recognize(state("mobilenet_v1:width=0.5", "timm", 7), "timm") == "mobilenet_v1:width=0.5,classes=7"
    assert recognize(state("mobilenet_v1", "slim", 1001), "slim") == "mobilenet_v1"
    assert recognize(state("mobilenet_v1", "timm", 1001), "timm") == "mobilenet_v1:classes=1001"


def test_what_is_no_published_network() -> None:
    assert recognize(state("mobilenet_v2:width=0.9", "timm"), "timm") is None
    whole = state("mobilenet_v2", "timm")
    assert recognize(whole | {"extra": np.zeros(1)}, "timm") is None
    del whole["blocks.1.0.conv_pw.weight"]
    assert recognize(whole, "timm") is None
    assert recognize({}, "timm") is None
