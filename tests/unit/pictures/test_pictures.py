"""Pictures: to scale, well-formed, and safe with any name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lungfish.architecture import NAMED, parse_arch
from lungfish.core.errors import MissingExtraError, OutputError
from lungfish.costs import cost
from lungfish.pictures import Marked, accuracy_picture, check_picture_file, network_picture, write_picture
from lungfish.pictures.anatomy import anatomy

SVG = "{http://www.w3.org/2000/svg}"


def shapes(svg: str, kind: str, style: str) -> list[ET.Element]:
    return [each for each in ET.fromstring(svg).iter(SVG + kind) if each.get("class") == style]


def points(shape: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in shape.attrib["points"].split())]


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(svg).iter(SVG + "text")]


def test_the_anatomy_of_mobilenet_v2() -> None:
    blocks = anatomy(NAMED["mobilenet_v2"])
    assert [block.name for block in blocks] == ["stem", *(f"blocks.{i}" for i in range(17)), "head", "classifier"]
    assert [step.role for step in blocks[3].steps] == ["expand", "filter", "compress"]
    assert [step.channels for step in blocks[3].steps] == [(24, 144), (144, 144), (144, 24)]
    assert [step.linear for step in blocks[3].steps] == [False, False, True]
    assert sum(block.shortcut for block in blocks) == 10


@pytest.mark.parametrize("name", NAMED)
def test_nothing_of_the_cost_is_lost(name: str) -> None:
    blocks = anatomy(NAMED[name])
    params = sum(step.params for block in blocks for step in block.steps) + sum(
        block.squeeze_params for block in blocks
    )
    assert params == cost(NAMED[name]).params


def test_channels_and_resolutions_are_drawn_to_scale() -> None:
    svg = network_picture(NAMED["mobilenet_v2"])
    hidden = [
        max(y for _, y in points(shape)) - min(y for _, y in points(shape))
        for shape in shapes(svg, "polygon", "filter")
    ]
    assert hidden[1] / hidden[-2] == pytest.approx(96 / 960, rel=0.01)  # blocks.1 and blocks.16; the last is the kernel
    squares = [float(shape.attrib["width"]) for shape in shapes(svg, "rect", "map")]
    assert [round(side / squares[0] * 224) for side in squares] == [224, 112, 56, 28, 14, 7]
    assert all(shape.get("width") == shape.get("height") for shape in shapes(svg, "rect", "map"))


def test_a_shortcut_for_each_block_that_has_one() -> None:
    assert len(shapes(network_picture(NAMED["mobilenet_v2"]), "path", "shortcut")) == 10 + 1  # and the block's own
    assert shapes(network_picture(NAMED["mobilenet_v1"]), "path", "shortcut") == []


@pytest.mark.parametrize(
    "name", [*NAMED, "efficientnet_b0:phi=3", "mobilenet_v2:width=0.1,resolution=32", "mobilenet_v1:depth=5"]
)
def test_every_network_can_be_drawn_within_the_sheet(name: str) -> None:
    svg = network_picture(parse_arch(name))
    root = ET.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for shape in root.iter(SVG + "polygon"):
        assert all(0 <= x <= width and 0 <= y <= height for x, y in points(shape))


def test_a_name_cannot_write_markup() -> None:
    svg = network_picture(replace(NAMED["mobilenet_v2"], name="<script>alert(1)</script>\x07"))
    assert "<script>" not in svg
    assert "<script>alert(1)</script>\\x07" in texts(svg)


def test_accuracies_are_where_they_belong() -> None:
    svg = accuracy_picture([Marked("mine", 300_774_272, 71.8), Marked("other", 50_000_000, None)])
    (ring,), (pin,) = shapes(svg, "circle", "ring"), shapes(svg, "polygon", "pin")
    dots = {(dot.get("cx"), dot.get("cy")) for dot in shapes(svg, "circle", "mobilenet_v2")}
    assert (ring.get("cx"), ring.get("cy")) in dots  # V2 itself
    assert points(pin)[0][0] < float(ring.attrib["cx"])
    assert any("no accuracy was published" in text for text in texts(svg))
    assert {"mine", "other", "B7", "Lite4", "ResNet-50"} <= set(texts(svg))


def test_no_two_texts_of_the_plot_overlap() -> None:
    from lungfish.pictures.canvas import text_width

    svg = accuracy_picture([Marked(name, cost(NAMED[name]).macs, None) for name in ("mobilenet_v2", "efficientnet_b0")])
    boxes = []
    for each in ET.fromstring(svg).iter(SVG + "text"):
        if each.get("text-anchor") == "start":
            x, y, size = (
                float(each.attrib["x"]),
                float(each.attrib["y"]),
                11.5 if "small" in each.get("class", "") else 13,
            )
            boxes.append((x, y - size, x + 0.9 * text_width(each.text or "", size), y))
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        assert not any(x0 < r and left < x1 and y0 < b and top < y1 for left, top, r, b in boxes[:i])


def test_png(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    from PIL import Image

    file = check_picture_file(tmp_path / "v2.png")
    write_picture(network_picture(NAMED["mobilenet_v2"]), file)
    with Image.open(file) as picture:
        assert picture.size == (2480, 2000)
        assert len(picture.convert("RGB").getcolors(maxcolors=1_000_000)) > 50


def test_png_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lungfish.pictures.file.find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[plot\]"):
        check_picture_file(tmp_path / "v2.png")
    assert check_picture_file(tmp_path / "v2.svg") == tmp_path / "v2.svg"


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "v2.svg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_picture_file(tmp_path / "v2.svg")
