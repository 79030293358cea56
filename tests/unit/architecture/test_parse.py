from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lungfish.architecture import NAMED, Arch, list_models, parse_arch, to_arch
from lungfish.architecture.foreign import FAMILIES_HERE, foreign_family
from lungfish.core.errors import ArchitectureError, UnknownNameError, UsageError


@pytest.mark.parametrize("name", NAMED)
def test_every_name(name: str) -> None:
    assert parse_arch(name) is NAMED[name]


def test_settings_are_applied_from_left_to_right() -> None:
    arch = parse_arch("mobilenet_v2:width=0.75,resolution=192,classes=10")
    assert (arch.width, arch.resolution_px, arch.classes) == (0.75, 192, 10)
    assert parse_arch("efficientnet_b0:phi=1.5") == NAMED["efficientnet_b0"].scale(phi=1.5)
    assert parse_arch("efficientnet_b0:phi=1,resolution=100").resolution_px == 100
    assert parse_arch("efficientnet_b0:resolution=100,phi=1").resolution_px == 112
    assert parse_arch("efficientnet_b2:width=2,depth=0.5").width == pytest.approx(2.2)
    assert parse_arch("mobilenet_v2:in_channels=1") == replace(NAMED["mobilenet_v2"], in_channels=1)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("efficientnet-b0", "Did you mean efficientnet_b0"),
        ("mobilenet_v2:widht=1", "Did you mean width"),
        ("", "Known: mobilenet_v1"),
        ("resnet50", "Lungfish does not build resnet. Supported: mobilenet_v1"),
        ("mobilenet_v3", "Lungfish does not build mobilenet_v3. Supported: mobilenet_v1"),
        ("MobileNetV3_large", "Lungfish does not build mobilenetv3."),
        ("efficientnet_v2_s", "Lungfish does not build efficientnet_v2."),
        ("convnext_tiny:width=2", "Lungfish does not build convnext."),
    ],
)
def test_an_unknown_name_gets_the_close_ones(name: str, hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_arch(name)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilenet_v2:width=wide", "width is 'wide'; it must be a number"),
        ("mobilenet_v2:width", "width is ''; it must be a number"),
        ("mobilenet_v2:resolution=192.5", "resolution is '192.5'; it must be a whole number"),
        ("mobilenet_v2:width=0", "width is 0.0; it must be a number above 0 and at most 64"),
        ("mobilenet_v2:width=nan", "width is nan; it must be a number above 0 and at most"),
        (
            "mobilenet_v2:resolution=8",
            "mobilenet_v2 scaled by resolution=8: resolution_px is 8; it must be a whole number from",
        ),
        ("mobilenet_v2:phi=1e9", "phi is 1000000000.0; it must be a number from -100 to 100"),
        ("mobilenet_v2:classes=0", "the number of classes is 0; it must be at least 1"),
        ("mobilenet_v2:in_channels=0", "in_channels is 0; it must be a whole number from"),
        ("mobilenet_v2:in_channels=gray", "in_channels is 'gray'; it must be a whole number"),
    ],
)
def test_a_wrong_value(name: str, message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        parse_arch(name)
    assert caught.value.message.startswith(message)


def test_a_file_stands_where_a_name_does(tmp_path: Path) -> None:
    arch = NAMED["mobilenet_v1"].scale(width=0.5)
    (tmp_path / "a.json").write_text(json.dumps(arch.to_json()), encoding="utf-8")
    assert parse_arch(str(tmp_path / "a.json")) == arch


def test_files_that_hold_no_architecture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the architecture"):
        parse_arch(str(tmp_path / "absent.json"))
    (tmp_path / "latin.json").write_bytes(b'"\xff"')
    with pytest.raises(UsageError, match="cannot read the architecture"):
        parse_arch(str(tmp_path / "latin.json"))
    (tmp_path / "large.json").write_text(" " * 1_000_001, encoding="utf-8")
    with pytest.raises(ArchitectureError, match="larger than the 1,000,000 bytes allowed"):
        parse_arch(str(tmp_path / "large.json"))


@dataclass(frozen=True)
class Built:
    """What stands for its architecture."""

    arch: Arch


def test_whatever_stands_for_an_architecture(tmp_path: Path) -> None:
    arch = NAMED["mobilenet_v2"].scale(width=0.6)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(arch.to_json()))
    for network in (arch, "mobilenet_v2:width=0.6", file, str(file), Built(arch)):
        assert to_arch(network) == arch


@pytest.mark.parametrize("value", [3, None, b"mobilenet_v2", object()])
def test_what_stands_for_none(value: object) -> None:
    with pytest.raises(UsageError, match=f"a value of type {type(value).__name__} is not a network"):
        to_arch(value)  # type: ignore[arg-type]


def test_list_models() -> None:
    assert list_models() == list(NAMED)
    assert list_models("*lite[01]") == ["efficientnet_lite0", "efficientnet_lite1"]
    assert list_models("mobilenet_v?") == ["mobilenet_v1", "mobilenet_v2"]
    assert list_models("MOBILENET*") == []


def test_no_family_is_both_here_and_elsewhere() -> None:
    for name in NAMED:
        assert foreign_family(name) == ""
        assert name.removesuffix("_full").rstrip("0123456789") in FAMILIES_HERE
