"""`lungfish models`, `describe`, `compare` and `scale`, as a person sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Lungfish = Callable[..., Any]


def test_models(lungfish: Lungfish) -> None:
    lines = lungfish("models").out.splitlines()
    assert lines[0].split() == ["network", "px", "M", "params", "M", "MACs", "top-1", "published", "in"]
    (v2,) = [line.split() for line in lines if line.startswith("mobilenet_v2 ")]
    assert v2[1:5] == ["224", "3.50", "300.8", "71.8"]
    rows = lungfish("models", "--json").json
    assert set(rows[0]) == {"name", "params", "macs", "resolution_px", "published"}


def test_describe(lungfish: Lungfish, tmp_path: Path) -> None:
    ended = lungfish("describe", "mobilenet_v2", "--plot", tmp_path / "v2.svg")
    assert "300,774,272" in ended.out
    assert "blocks.3.depthwise.conv" not in ended.out
    assert "drawn: " in ended.err
    layers = lungfish("describe", "mobilenet_v2", "--layers").out
    assert "depthwise 3x3 /2" in next(
        line for line in layers.splitlines() if line.startswith("blocks.3.depthwise.conv")
    )
    assert lungfish("describe", "efficientnet_b4", "--json").json["resolution_px"] == 380


def test_scale_writes_what_describe_and_compare_read(lungfish: Lungfish, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    ended = lungfish("scale", "efficientnet_b0", "--macs", "600e6", "--out", file)
    assert "% of the target of 600,000,000" in ended.out
    assert "written: " in ended.err
    described = lungfish("describe", file, "--json").json
    assert 500e6 < described["macs"] <= 600e6
    compared = lungfish("compare", file, "efficientnet_b0", "--json").json
    assert [row["macs"] for row in compared] == [described["macs"], 385_814_752]


def test_train_says_that_no_weights_fit(lungfish: Lungfish, tmp_path: Path, color_photos: Path) -> None:
    file = tmp_path / "a.json"
    lungfish("scale", "efficientnet_b0", "--macs", "600e6", "--out", file)
    ended = lungfish("train", color_photos, "--arch", file, "--out", tmp_path / "bundle")
    assert ended.code == 3
    assert "no pretrained weights fit efficientnet_b0:phi=" in ended.err
    assert "--arch efficientnet_lite0" in ended.err


def test_a_name_from_a_file_cannot_drive_the_terminal(lungfish: Lungfish, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    lungfish("scale", "mobilenet_v2", "--phi", "1", "--out", file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": "\x1b[31mred"}))
    for command in (("describe", file), ("compare", file), ("scale", file, "--phi", "1")):
        ended = lungfish(*command)
        assert ended.code == 0
        assert "\x1b" not in ended.out
        assert "\\x1b[31mred" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("describe", "mobilenet_v3"), "unknown_name"),
        (("describe", "mobilenet_v2", "--plot", "x.gif"), "output"),
        (("describe", "missing.json"), "usage"),
        (("scale", "mobilenet_v2"), "usage"),
        (("scale", "mobilenet_v2", "--width", "0"), "architecture"),
        (("scale", "mobilenet_v2", "--macs", "nan"), "usage"),
        (("compare",), "usage"),
    ],
    ids=str,
)
def test_errors_under_json(lungfish: Lungfish, arguments: tuple[str, ...], code: str) -> None:
    ended = lungfish(*arguments, "--json")
    assert ended.code == 2
    assert ended.json["error"]["code"] == code
