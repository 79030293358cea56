"""`lungfish.build` as users of timm call it."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import lungfish as lf
from lungfish.architecture import NAMED, Arch, parse_arch
from lungfish.core.errors import ArchitectureError, UnknownNameError, WeightsError
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry
from lungfish.weights.imagenet import imagenet_names

LITE0 = "efficientnet_lite0.in1k"
SMALL = "efficientnet_lite0:width=0.25,depth=0.3,classes=4"
OUR_HEADER = {  # as `lungfish weights convert` writes it
    "mean": "[1, 2, 3]",
    "std": "[4, 5, 6]",
    "crop_fraction": "0.9",
    "interpolation": "bilinear",
    "padding": "symmetric",
    "bn_eps": "1e-5",
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Weights of a small network with four classes, in a bare file."""
    save_file(lf.build(SMALL, seed=1).state_dict(), tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def same_trunk(network: Any, other: Any) -> bool:
    theirs = other.state_dict()
    return all(
        torch.equal(tensor, theirs[name])
        for name, tensor in network.state_dict().items()
        if not name.startswith(("classifier.", "stem.conv."))
    )


def test_a_name_a_file_and_a_network_stand_for_an_architecture(tmp_path: Path) -> None:
    arch = parse_arch(SMALL)
    (tmp_path / "a.json").write_text(json.dumps(arch.to_json()))
    for network in (SMALL, tmp_path / "a.json", arch, lf.build(arch)):
        assert lf.build(network).arch == arch
    with pytest.raises(UnknownNameError) as caught:
        lf.build("mobilnet_v2")
    assert "mobilenet_v2" in caught.value.hint


def test_random_weights_say_nothing_of_photos() -> None:
    network = lf.build(SMALL, num_classes=7, in_channels=2, seed=1)
    assert (network.arch.classes, network.arch.in_channels) == (7, 2)
    assert (network.weights, network.preprocessing, network.labels) == (None, None, None)
    assert network.training


def test_pretrained_takes_what_the_catalogue_has_and_knows_its_photos() -> None:
    network = lf.build("efficientnet_lite0:resolution=96", pretrained=True)
    assert network.weights == LITE0
    assert network.preprocessing == find_entry(LITE0).preprocessing(96)
    assert network.labels == imagenet_names()
    assert not network.training
    backbone = lf.build("efficientnet_lite0", pretrained=True, features_only=True)
    assert (backbone.weights, backbone.preprocessing) == (LITE0, find_entry(LITE0).preprocessing(224))


def test_a_new_classifier_on_a_pretrained_trunk_is_said_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    network = lf.build("efficientnet_lite0", num_classes=10, pretrained=True, seed=3)
    assert same_trunk(network, lf.build("efficientnet_lite0", LITE0))
    assert network.labels is None
    assert network.preprocessing == find_entry(LITE0).preprocessing(224)
    again = lf.build("efficientnet_lite0", LITE0, num_classes=10, seed=3)
    assert torch.equal(network.classifier.weight, again.classifier.weight)
    assert network.classifier.weight.shape == (10, 1280)
    said = f"The classifier is new: {LITE0} has 1,000 classes, you asked for 10. Train it before you use its answers."
    assert caplog.record_tuples == [("lungfish.weights.build", logging.WARNING, said)] * 2


def test_as_many_classes_keep_the_classifier(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = lf.build(SMALL.replace("classes=4", "classes=9"), small, num_classes=4)
    assert torch.equal(network.classifier.weight, lf.build(SMALL, small).classifier.weight)
    assert not caplog.records


def test_a_file_with_other_classes(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = lf.build(SMALL, small, num_classes=6)
    assert network.num_classes == 6
    assert same_trunk(network, lf.build(SMALL, small))
    assert "small.safetensors has 4 classes, you asked for 6" in caplog.text


def test_without_num_classes_nothing_is_forgiven(small: Path) -> None:
    for other in (SMALL.replace("classes=4", "classes=5"), SMALL.replace("classes=4", "classes=4,in_channels=1")):
        with pytest.raises(WeightsError, match="misshapen") as caught:
            lf.build(other, small)
        assert "Pass num_classes to keep their classifier" in caught.value.hint


def test_with_num_classes_the_trunk_must_still_fit(tmp_path: Path) -> None:
    state = lf.build(SMALL, seed=1).state_dict()
    path = tmp_path / "net.safetensors"
    for change in (
        {"head.conv.weight": torch.zeros(1280, 7, 1, 1)},
        {"tail.conv.weight": torch.zeros(1)},
        {"classifier.weight": torch.zeros(5, 1280)},  # its bias has 4
        {"classifier.bias": torch.tensor(1.0)},
    ):
        save_file(state | change, path)
        with pytest.raises(WeightsError, match=next(iter(change))):
            lf.build(SMALL, path, num_classes=10)
    save_file({name: tensor for name, tensor in state.items() if name != "blocks.0.depthwise.conv.weight"}, path)
    with pytest.raises(WeightsError, match=r"missing blocks\.0\.depthwise\.conv\.weight"):
        lf.build(SMALL, path, num_classes=10)


@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_other_channels_see_what_equal_colors_showed(small: Path, channels: int) -> None:
    """The same picture in every channel gives what it gave in red, green and blue, but for rounding."""
    colors, network = lf.build(SMALL, small), lf.build(SMALL, small, in_channels=channels)
    assert network.arch == colors.arch.with_in_channels(channels)
    kernel = colors.stem.conv.weight
    assert network.stem.conv.weight.shape == (kernel.shape[0], channels, 3, 3)
    if channels == 1:
        torch.testing.assert_close(network.stem.conv.weight, kernel.sum(1, keepdim=True))
    else:
        turns = kernel[:, [i % 3 for i in range(channels)]] * (3 / channels)
        torch.testing.assert_close(network.stem.conv.weight, turns)
    gray = torch.rand(2, 1, 64, 64)
    if channels in (1, 3):
        torch.testing.assert_close(network(gray.expand(-1, channels, -1, -1)), colors(gray.expand(-1, 3, -1, -1)))
    assert network.stem.conv.weight.requires_grad


def test_channels_that_make_no_network(small: Path) -> None:
    with pytest.raises(ArchitectureError, match="in_channels is 0"):
        lf.build(SMALL, small, in_channels=0)


def test_no_pretrained_weights() -> None:
    with pytest.raises(WeightsError, match=r"no pretrained weights are known for mobilenet_v2:width=0\.6") as caught:
        lf.build("mobilenet_v2:width=0.6", pretrained=True)
    assert "lungfish.list_weights()" in caught.value.hint


def test_a_converted_file_says_what_its_photos_go_through(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(lf.build(SMALL, seed=1).state_dict(), path, OUR_HEADER)
    network = lf.build(f"{SMALL},resolution=64", path)
    assert network.preprocessing == Preprocessing(64, 0.9, "bilinear", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert (network.weights, network.labels) == ("net.safetensors", None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mean", "[NaN, 0, 0]"),
        ("mean", "[1, 2]"),
        ("std", "[0, 0, 0]"),
        ("crop_fraction", "99"),
        ("interpolation", "nearest"),
        ("interpolation", None),
    ],
)
def test_a_header_that_makes_no_sense(tmp_path: Path, key: str, value: str | None) -> None:
    path, header = tmp_path / "net.safetensors", OUR_HEADER | {key: value or ""}
    if value is None:
        del header[key]
    save_file(lf.build(SMALL, seed=1).state_dict(), path, header)
    with pytest.raises(WeightsError, match=r"the preprocessing of net\.safetensors cannot be used"):
        lf.build(SMALL, path)


def test_a_bundle_brings_its_labels(trained: Any) -> None:
    arch = Arch.from_json(json.loads((trained.bundle / "bundle.json").read_text(encoding="utf-8"))["architecture"])
    for weights in (trained.bundle, trained.bundle / "weights.safetensors"):
        network = lf.build(arch, weights)
        assert network.labels == ("0", "1", "2")
        assert network.preprocessing is not None
        assert network.preprocessing.resolution_px == lf.load(trained.bundle).manifest.preprocess.resolution_px
        assert lf.build(arch, weights, num_classes=5).labels is None


def test_a_bundle_alone_names_network_and_weights(trained: Any) -> None:
    network = lf.build(trained.bundle)
    named = lf.build(network.arch, trained.bundle, num_classes=network.num_classes)
    assert network.labels == named.labels == lf.load(trained.bundle).labels
    tensors = named.state_dict()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.state_dict().items())


def test_what_is_installed_comes_before_what_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    from lungfish.weights import fitting

    assert fitting.default_entry(NAMED["efficientnet_lite0"]).name == LITE0
    assert fitting.default_entry(parse_arch("efficientnet_lite0:in_channels=1,classes=5,resolution=64")).name == LITE0
    monkeypatch.setattr(fitting, "local_file", lambda entry: None)
    found = fitting.default_entry(NAMED["efficientnet_b0"])
    rivals = [entry for entry in fitting.fitting_entries(NAMED["efficientnet_b0"]) if entry.license == found.license]
    assert found.license == "Apache-2.0"
    assert found.top1 == max(entry.top1 or 0 for entry in rivals)
    held = replace(found, name="held", license="NOASSERTION", top1=1.0)
    monkeypatch.setattr(fitting, "local_file", lambda entry: Path() if entry is held else None)
    monkeypatch.setattr(fitting, "catalogue", lambda: {"found": found, "held": held})
    assert fitting.default_entry(NAMED["efficientnet_b0"]) is held
