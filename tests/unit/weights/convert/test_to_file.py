"""A checkpoint of another library to a file with our names: the same tensors, and a header that says where from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import lungfish as lf
from lungfish.architecture import Arch, Flavour
from lungfish.core.errors import UnknownNameError, UsageError, WeightsError
from lungfish.core.hashing import sha256_file
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry
from lungfish.weights.convert.exchange import convert_arrays
from lungfish.weights.convert.to_file import Converted, Provenance, convert_file
from lungfish.weights.fetch.package import packaged_file
from lungfish.weights.layouts import find_layout, tensor_slots

NAME = "mobilenet_v2:width=0.35,resolution=32,classes=5"
SMALL = lf.arch(NAME)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of torchvision, its every tensor random."""
    built = lf.build(SMALL, flavour=Flavour("symmetric", 1e-5), seed=0)
    generator = torch.Generator().manual_seed(1)
    for tensor in built.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    torch.save(lf.export_weights(built, "torchvision"), tmp_path / "v2.pth")
    return tmp_path / "v2.pth"


def converted(path: Path, provenance: Provenance | None = None, arch: Arch = SMALL, source: str = "") -> Converted:
    return convert_file(path, arch, source, path.with_name("ours.safetensors"), provenance or Provenance())


def header(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_the_file_is_the_same_network(checkpoint: Path) -> None:
    done = converted(checkpoint)
    imported, built = lf.import_weights(checkpoint, SMALL, source="torchvision"), lf.build(SMALL, done.out)
    assert built.flavour == imported.flavour == Flavour("symmetric", 1e-5)
    assert set(built.state_dict()) == set(imported.state_dict())
    for name, tensor in imported.state_dict().items():
        assert torch.equal(built.state_dict()[name], tensor), name
    assert done.source == "torchvision"
    assert done.params == lf.cost(SMALL).params
    assert (done.sha256_before, done.sha256) == (sha256_file(checkpoint), sha256_file(done.out))
    assert (done.averages, done.dropped, done.license) == (0, (), "")


def test_the_header_says_where_it_came_from(checkpoint: Path) -> None:
    done = converted(checkpoint)
    metadata = header(done.out)
    assert Arch.from_json(metadata["architecture"]) == SMALL
    assert (metadata["padding"], float(metadata["bn_eps"])) == ("symmetric", 1e-5)
    assert json.loads(metadata["mean"]) == [123.675, 116.28, 103.53]  # torchvision's usual
    assert (float(metadata["crop_fraction"]), metadata["interpolation"]) == (0.875, "bilinear")
    assert (metadata["file"], metadata["source"]) == ("v2.pth", "torchvision")
    assert metadata["sha256_before"] == done.sha256_before
    assert not {"license", "name", "location"} & set(metadata)  # nobody told


def test_what_is_told_goes_before_what_is_usual(checkpoint: Path) -> None:
    known = Provenance(
        Flavour("same", 1e-3),
        Preprocessing(224, 0.9, "bicubic", (1, 2, 3), (4, 5, 6)),
        "CC-BY-4.0",
        "v2.mine",
        "file:v2.pth",
    )
    done = converted(checkpoint, known)
    metadata = header(done.out)
    assert lf.build(SMALL, done.out).flavour == Flavour("same", 1e-3)
    assert (json.loads(metadata["mean"]), json.loads(metadata["std"])) == ([1, 2, 3], [4, 5, 6])
    assert (metadata["license"], metadata["name"], metadata["location"]) == ("CC-BY-4.0", "v2.mine", "file:v2.pth")
    assert done.license == "CC-BY-4.0"


def test_an_entry_of_the_catalogue() -> None:
    entry = find_entry("efficientnet_lite0.in1k")
    known = Provenance.of(entry)
    assert known.preprocessing == entry.preprocessing(224)
    assert (known.flavour, known.license, known.name) == (entry.flavour, entry.license, entry.name)


def test_the_packaged_weights(tmp_path: Path) -> None:
    entry = find_entry("efficientnet_lite0.in1k")
    arch = lf.arch(entry.arch)
    done = convert_file(
        packaged_file(entry), arch, entry.converter, tmp_path / "lite0.safetensors", Provenance.of(entry)
    )
    assert done.sha256_before == entry.sha256
    ours, theirs = lf.build(arch, done.out), lf.build(arch, entry.name)
    assert ours.flavour == theirs.flavour
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


def test_the_same_bytes_in_every_process(
    checkpoint: Path, command: Callable[..., Any], tmp_path: Path, cache: Path
) -> None:
    here = converted(checkpoint, Provenance(license="MIT"))
    out = tmp_path / "there.safetensors"
    arguments = ("--arch", NAME, "--license", "MIT", "--out", out, "--json")
    there = command("weights", "convert", checkpoint, *arguments, cache=cache)
    assert there.code == 0, there.err
    assert there.json["sha256"] == here.sha256 == sha256_file(out)


def test_an_unknown_source(checkpoint: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown source of weights: 'torchvison'"):
        converted(checkpoint, source="torchvison")


def test_our_own_files_need_no_conversion(tmp_path: Path) -> None:
    save_file(lf.build(SMALL, seed=0).state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(UsageError, match="already has our names"):
        converted(tmp_path / "net.safetensors")


def slim_state(arch: Arch, classes: int) -> dict[str, np.ndarray]:
    """As TensorFlow's checkpoints come out of their reader."""
    wider = arch.with_classes(classes)
    where = tensor_slots(wider, find_layout("slim", wider)).values()
    rng = np.random.default_rng(0)
    return {place.name: rng.random(place.shape, np.float32) + np.float32(0.5) for place in where}


def test_the_background_is_dropped_from_1001_classes_only() -> None:
    arch = lf.arch("mobilenet_v1:width=0.25,resolution=32")
    state = slim_state(arch, 1001)
    converted = convert_arrays(arch, state, "slim")
    assert converted.dropped == ("class 0 of 1,001, the background",)
    kernel = state["MobilenetV1/Logits/Conv2d_1c_1x1/weights"]
    np.testing.assert_array_equal(converted.arrays["classifier.weight"], kernel[0, 0, :, 1:].T)
    bias = state["MobilenetV1/Logits/Conv2d_1c_1x1/biases"]
    np.testing.assert_array_equal(converted.arrays["classifier.bias"], bias[1:])
    every = convert_arrays(arch.with_classes(1001), state, "slim")
    assert every.dropped == ()
    np.testing.assert_array_equal(every.arrays["classifier.weight"], kernel[0, 0].T)
    with pytest.raises(WeightsError, match="misshapen"):
        convert_arrays(arch.with_classes(5), slim_state(arch, 6), "slim")


def test_moving_averages_stand_in_for_weights_and_training_leaves_nothing_else() -> None:
    arch = lf.arch("mobilenet_v1:width=0.25,resolution=32,classes=5")
    state = slim_state(arch, 5)
    stem, gamma = "MobilenetV1/Conv2d_0/weights", "MobilenetV1/Conv2d_0/BatchNorm/gamma"
    extra = {
        f"{stem}/ExponentialMovingAverage": state[stem] + 1,
        f"{stem}/RMSProp": state[stem],
        f"{gamma}/RMSProp": state[gamma],
        f"{stem}/Momentum": state[stem],
        "global_step": np.array(3),
    }
    converted = convert_arrays(arch, state | extra, "slim")
    np.testing.assert_array_equal(converted.arrays["stem.conv.weight"], (state[stem] + 1).transpose(3, 2, 0, 1))
    assert converted.averages == 1
    assert converted.dropped == (f"{stem}/Momentum", "2 x RMSProp", "global_step")
    with pytest.raises(WeightsError, match="unexpected MobilenetV1/Conv2d_0/weights/Nesterov"):
        convert_arrays(arch, state | {f"{stem}/Nesterov": state[stem]}, "slim")


def test_the_command(checkpoint: Path, lungfish: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkpoint.parent)
    done = lungfish("weights", "convert", checkpoint, "--arch", NAME, "--license", "Apache-2.0", "--json")
    assert done.code == 0, done.err
    assert done.json == {
        "out": "v2.safetensors",
        "arch": SMALL.name,
        "source": "torchvision",
        "sha256_before": sha256_file(checkpoint),
        "sha256": sha256_file(Path("v2.safetensors")),
        "params": lf.cost(SMALL).params,
        "averages": 0,
        "dropped": [],
        "license": "Apache-2.0",
    }
    plain = lungfish("weights", "convert", checkpoint, "--arch", NAME, "--force")
    assert "v2.safetensors: mobilenet_v2" in plain.out
    assert "license: not given; it must be accepted before training" in plain.out


def test_the_command_overwrites_nothing_unasked(checkpoint: Path, lungfish: Callable[..., Any]) -> None:
    out = checkpoint.with_name("there.safetensors")
    out.write_text("mine")
    arguments = ("weights", "convert", checkpoint, "--arch", NAME, "--out")
    for place, why in (
        (out, "exists"),
        (checkpoint.with_name("there.bin"), "does not end in .safetensors"),
        (checkpoint.parent, "does not end in .safetensors"),
    ):
        ended = lungfish(*arguments, place)
        assert (ended.code, why in ended.err) == (2, True), ended.err
    assert out.read_text() == "mine"
    assert lungfish(*arguments, out, "--force").code == 0
    itself = lungfish("weights", "convert", out, "--arch", NAME, "--out", out, "--force")
    assert (itself.code, "the file to convert" in itself.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--arch", "mobilenet_v2"), "do not fit mobilenet_v2"),
        (("--arch", "efficientnet_lite0", "--source", "keras"), "not a checkpoint of keras"),
        (("--arch", NAME, "--license", "all rights reserved"), "is not an SPDX identifier"),
        (("--arch", NAME, "--source", "timm"), "do not fit"),
    ],
)
def test_the_command_refuses(
    checkpoint: Path, lungfish: Callable[..., Any], arguments: tuple[str, ...], why: str
) -> None:
    ended = lungfish("weights", "convert", checkpoint, *arguments, "--out", checkpoint.with_name("x.safetensors"))
    assert ended.code in (2, 3)
    assert why in ended.err
    assert not checkpoint.with_name("x.safetensors").exists()
