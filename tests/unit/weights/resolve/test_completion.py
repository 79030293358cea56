"""What a file tells of its weights."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import UsageError, WeightsError
from lungfish.nn import build
from lungfish.weights.convert.to_file import Provenance, convert_file
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.layouts import find_layout, tensor_slots
from lungfish.weights.resolve.completion import INCOMPLETE, arch_name, complete

SMALL = "mobilenet_v2:width=0.35"


def entry(arch: str = "", location: str = "file:/x") -> WeightsEntry:
    return replace(INCOMPLETE, name="file:x", arch=arch, location=location)


def checkpoint(source: str, name: str = SMALL) -> dict[str, torch.Tensor]:
    arch = parse_arch(name)
    return {place.name: torch.zeros(place.shape) for place in tensor_slots(arch, find_layout(source, arch)).values()}


def saved(path: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str] | None = None) -> Path:
    save_file(dict(tensors), path, header)
    return path


def test_a_converted_file_tells_everything(tmp_path: Path) -> None:
    torch.save(checkpoint("torchvision"), tmp_path / "net.pth")
    provenance = Provenance(license="MIT", location="https://example.org/net.pth")
    file = convert_file(tmp_path / "net.pth", parse_arch(SMALL), "", tmp_path / "net.safetensors", provenance).out
    found = complete(entry(), file)
    assert (found.arch, found.converter, found.flavour) == (SMALL, "lungfish", Flavour("symmetric", 1e-5))
    assert (found.mean, found.std) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert (found.interpolation, found.license, found.unverified) == ("bilinear", "MIT", ())
    assert found.source == "converted from https://example.org/net.pth"


def test_a_strangers_header_opens_no_gate(tmp_path: Path) -> None:
    header = {"architecture": json.dumps(parse_arch(SMALL).to_json()), "padding": "same", "bn_eps": "0.001"}
    file = saved(tmp_path / "a.safetensors", {"x": torch.zeros(1)}, header | {"license": "MIT"})
    assert complete(entry(location="hf:a/b@main/a.safetensors"), file).license == "NOASSERTION"
    here = complete(entry(), file)  # downloaded by hand
    assert (here.license, here.source) == ("NOASSERTION", INCOMPLETE.source)
    assert here.license_source == "its header states MIT, but it was not converted on this machine"


@pytest.mark.parametrize("source", ["torchvision", "packaged"])
def test_a_checkpoint_is_recognized(tmp_path: Path, source: str) -> None:
    name = "efficientnet_lite0" if source == "packaged" else SMALL
    torch.save(checkpoint(source, name), tmp_path / "net.pth")
    found = complete(entry(), tmp_path / "net.pth")
    assert (found.arch, found.converter) == (name, source)
    assert found.flavour == (Flavour("same", 1e-3) if source == "packaged" else Flavour("symmetric", 1e-5))
    assert "normalization" in found.unverified


def test_the_network_that_was_named_stands(tmp_path: Path) -> None:
    file = saved(tmp_path / "net.safetensors", checkpoint("torchvision"))
    named = f"{SMALL},resolution=96"
    assert complete(entry(named), file).arch == named


def test_a_network_that_it_is_not(tmp_path: Path) -> None:
    """Else the ledger would keep what a person mistyped once."""
    provenance = Provenance(license="MIT")
    theirs = saved(tmp_path / "net.safetensors", checkpoint("torchvision"))
    ours = convert_file(theirs, parse_arch(SMALL), "", tmp_path / "ours.safetensors", provenance).out
    for file in (theirs, ours):
        with pytest.raises(
            WeightsError, match=r"^file:x belongs to mobilenet_v2:width=0\.35, not to mobilenet_v2:width=0\.5"
        ):
            complete(entry("mobilenet_v2:width=0.5"), file)
    unheard = saved(tmp_path / "wide.safetensors", checkpoint("torchvision", "mobilenet_v2:width=0.9"))
    with pytest.raises(WeightsError, match="belongs to a network that was not recognized, not to mobilenet_v2"):
        complete(entry(SMALL), unheard)
    assert complete(entry("mobilenet_v2:width=0.9"), unheard).arch == "mobilenet_v2:width=0.9"


def test_the_file_tells_its_classes(tmp_path: Path) -> None:
    file = saved(tmp_path / "net.safetensors", checkpoint("torchvision", f"{SMALL},classes=5"))
    assert complete(entry(f"{SMALL},resolution=96"), file).arch == f"{SMALL},resolution=96,classes=5"


def test_an_unknown_network_must_be_named(tmp_path: Path) -> None:
    file = saved(tmp_path / "net.safetensors", checkpoint("torchvision", "mobilenet_v2:width=0.9"))
    with pytest.raises(UsageError, match="does not state its network") as caught:
        complete(entry(), file)
    assert "--arch" in caught.value.hint


def test_timms_names_do_not_tell_the_flavour(tmp_path: Path) -> None:
    file = saved(tmp_path / "net.safetensors", checkpoint("timm"))
    with pytest.raises(UsageError, match="timm and timm_tf use them") as caught:
        complete(entry(), file)
    assert "lungfish weights convert net.safetensors" in caught.value.hint


def test_our_names_without_a_header(tmp_path: Path) -> None:
    network = build(parse_arch(SMALL))
    file = saved(tmp_path / "weights.safetensors", network.state_dict())
    found = complete(entry(SMALL), file)
    assert (found.converter, found.arch) == ("lungfish", SMALL)
    assert set(found.unverified) >= {"flavour", "normalization"}
    with pytest.raises(UsageError, match="does not state its network"):
        complete(entry(), file)


def test_nobodys_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no known library uses these"):
        complete(entry(), saved(tmp_path / "net.safetensors", {"x": torch.zeros(1)}))


def test_kerass_files_need_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not state its network"):
        complete(entry(), tmp_path / "net.h5")


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "{}"},
        {"architecture": "no JSON"},
        {"padding": "odd"},
        {"bn_eps": "7"},
        {"bn_eps": "x"},
        {"mean": "[1, 2]"},
        {"mean": "5"},
        {"mean": "[NaN, 1, 1]"},
        {"std": "x"},
        {"std": "[0, 1, 1]"},
        {"crop_fraction": "nan"},
        {"interpolation": "nearest"},
    ],
)
def test_a_header_that_makes_no_sense(tmp_path: Path, changes: dict[str, Any]) -> None:
    header = {
        "architecture": json.dumps(parse_arch(SMALL).to_json()),
        "padding": "same",
        "bn_eps": "0.001",
        "mean": "[127, 127, 127]",
        "std": "[128, 128, 128]",
        "crop_fraction": "0.9",
        "interpolation": "bicubic",
    }
    tensors = {"x": torch.zeros(1)}
    assert complete(entry(), saved(tmp_path / "good.safetensors", tensors, header)).crop_fraction == 0.9
    with pytest.raises(WeightsError, match=r"the header of bad\.safetensors is invalid"):
        complete(entry(), saved(tmp_path / "bad.safetensors", tensors, header | changes))


def test_names_of_networks() -> None:
    assert arch_name(parse_arch("efficientnet_b0")) == "efficientnet_b0"
    assert arch_name(parse_arch("efficientnet_b0").with_classes(4)) == "efficientnet_b0:classes=4"
    assert arch_name(parse_arch("mobilenet_v2:width=0.5").with_classes(4)) == "mobilenet_v2:width=0.5,classes=4"
    own: Arch = replace(parse_arch("efficientnet_b0"), name="mine", width=0.33)
    assert arch_name(own).endswith(".json")
    assert parse_arch(arch_name(own)) == own
    assert parse_arch(arch_name(replace(own, name="a.json"))) == own
