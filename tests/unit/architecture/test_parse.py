from __future__ import annotations

import json
from pathlib import Path

import pytest

from lungfish.architecture import NAMED, parse_arch
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


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("efficientnet-b0", "Did you mean efficientnet_b0"),
        ("mobilenet_v2:widht=1", "Did you mean width"),
        ("", "Known: mobilenet_v1"),
        ("resnet50", "Known: mobilenet_v1"),
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
        ("mobilenet_v2:classes=0", "classes is 0; it must be a whole number from"),
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
