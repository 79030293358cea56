"""Accuracy against minutes: every epoch where it belongs, every curve with its name."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest

from lungfish.pictures import Curve, learning_picture

SVG = "{http://www.w3.org/2000/svg}"
PROBE = Curve("probe", [(1.0, 0.9)], 1.2, 0.9, 0.89)
SCRATCH = Curve("scratch", [(1.0, 0.3), (10.0, 0.5), (100.0, 0.6)], 110.0, 0.6, 0.58)


def test_epochs_lie_on_a_logarithmic_axis_of_minutes() -> None:
    root = ET.fromstring(learning_picture([PROBE, SCRATCH]))
    line = next(each for each in root.iter(SVG + "polyline") if each.attrib["points"].count(",") == 3)
    (x1, y1), (x2, y2), (x3, y3) = (tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split())
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)  # ten times the minutes each
    assert (y1 - y2) / (y2 - y3) == pytest.approx(0.2 / 0.1, rel=0.01)


def test_every_curve_ends_in_a_ring_and_a_name() -> None:
    root = ET.fromstring(learning_picture([PROBE, SCRATCH]))
    texts = [each.text for each in root.iter(SVG + "text")]
    assert {"probe: 89.0 %", "scratch: 58.0 %"} <= set(texts)
    rings = [each for each in root.iter(SVG + "circle") if each.get("class") == "ring"]
    assert len(rings) == 2
    height = {
        text: float(next(e for e in root.iter(SVG + "text") if e.text == text).attrib["y"]) for text in ("30", "40")
    }
    y = float(rings[1].attrib["cy"]) + 4
    assert y == pytest.approx(height["30"] + (58 - 30) / 10 * (height["40"] - height["30"]), abs=0.2)


def test_everything_lies_within_the_sheet() -> None:
    root = ET.fromstring(learning_picture([SCRATCH, PROBE]))
    for each in root.iter(SVG + "circle"):
        assert 0 < float(each.attrib["cx"]) < float(root.attrib["width"])
        assert 0 < float(each.attrib["cy"]) < float(root.attrib["height"])


def test_one_point_is_enough() -> None:
    svg = learning_picture([PROBE])
    assert math.isfinite(float(next(ET.fromstring(svg).iter(SVG + "circle")).attrib["cx"]))
