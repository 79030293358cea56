import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lungfish.evaluation.calibration import ReliabilityBin
from lungfish.evaluation.charts import (
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    coverage_curve,
    heat_classes,
    learning_curves,
    reliability_diagram,
)
from lungfish.evaluation.rejection import CoverageRow
from lungfish.evaluation.report_data import Epoch


def circles(svg: str) -> list[dict[str, str]]:
    return [element.attrib for element in ET.fromstring(svg).iter("circle")]


def test_reliability_dots_sit_at_confidence_and_accuracy():
    dots = circles(
        reliability_diagram([ReliabilityBin(0.4, 0.6, 4, 0.5, 0.25), ReliabilityBin(0.9, 1.0, 16, 1.0, 1.0)])
    )
    assert [(float(d["cx"]), float(d["cy"])) for d in dots] == [
        (LEFT + WIDTH / 2, TOP + 0.75 * HEIGHT),
        (LEFT + WIDTH, TOP),
    ]
    assert float(dots[0]["r"]) < float(dots[1]["r"])


def test_coverage_curve_marks_the_chosen_threshold_and_leaves_out_the_empty():
    rows = [
        CoverageRow(0.0, 1.0, 0.8, 10, chosen=False),
        CoverageRow(0.5, 0.5, 0.9, 5, chosen=True),
        CoverageRow(0.99, 0.0, None, 0, chosen=False),
    ]
    low, chosen = circles(coverage_curve(rows))
    assert (float(low["cx"]), float(low["cy"])) == (LEFT + WIDTH, TOP + HEIGHT)
    assert chosen["class"] == "chosen"
    assert float(chosen["cy"]) == pytest.approx(TOP + HEIGHT / 2)


def test_heat_follows_the_share_of_the_row():
    assert heat_classes(np.array([[96, 4, 0], [40, 60, 0], [0, 0, 0]])) == [
        ["d4", "e0", "zero"],
        ["e3", "d1", "zero"],
        ["zero", "zero", "zero"],
    ]


def test_learning_curves_have_a_point_for_each_epoch():
    svg = learning_curves([Epoch(0.5, 0.75), Epoch(0.9, 1.0)])
    circles = [node.attrib for node in ET.fromstring(svg).iter() if node.tag.endswith("circle")]
    places = [(float(c["cx"]), float(c["cy"])) for c in circles]
    middle, right = LEFT + WIDTH / 2, LEFT + WIDTH
    assert places[:2] == [(middle, TOP + HEIGHT), (right, pytest.approx(TOP + 0.2 * HEIGHT, abs=0.1))]  # from 50 %
    assert places[2:] == [(middle, TOP + HEIGHT / 2), (right, TOP)]
    assert "epoch 2: 100 % of the validation photos" in svg.replace("100.0", "100").replace("\xa0", " ")


@pytest.mark.parametrize(("count", "figures"), [(1, ["1"]), (3, ["1", "2", "3"]), (25, ["1", "4", "7", "25"])])
def test_learning_curves_name_some_epochs_and_always_the_last(count, figures):
    svg = learning_curves([Epoch(0.95, 0.95)] * count)
    shown = [node.text for node in ET.fromstring(svg).iter() if node.get("y") == str(TOP + HEIGHT + 18)]
    assert set(figures) <= set(shown)
    assert len(shown) <= 10
