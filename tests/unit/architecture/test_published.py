"""Published figures: complete, each with its source, and near what we count."""

import pytest

from lungfish.architecture import parse_arch
from lungfish.architecture.published import PUBLISHED, YARDSTICK, Published, published_archs, published_figures
from lungfish.costs import cost

OURS = [line for line in PUBLISHED if not line.name.startswith(YARDSTICK)]


def test_every_published_table_is_there() -> None:
    counts = {
        family: sum(arch.name.startswith(family) for arch in published_archs())
        for family in ("mobilenet_v2", "efficientnet_b", "efficientnet_lite")
    }
    assert counts == {"mobilenet_v2": 22, "efficientnet_b": 8, "efficientnet_lite": 5}
    v1 = [arch for arch in published_archs() if arch.name.startswith("mobilenet_v1")]
    assert len(v1) == 4 * 4 + 1


@pytest.mark.parametrize(
    ("name", "top1"),
    [
        ("mobilenet_v1", 70.9),
        ("mobilenet_v1:width=0.25,resolution=128", 41.5),
        ("mobilenet_v1_full", 71.7),
        ("mobilenet_v2:width=1.4", 75.0),
        ("mobilenet_v2:width=0.35,resolution=96", 45.5),
        ("efficientnet_b0", 76.3),
        ("efficientnet_b7", 84.4),
        ("efficientnet_lite4", 81.5),
    ],
)
def test_top1(name: str, top1: float) -> None:
    line = published_figures(parse_arch(name))
    assert line is not None
    assert line.top1 == top1


def test_yardsticks_are_found_by_name() -> None:
    assert published_figures("torchvision:resnet50") == Published(
        "torchvision:resnet50", 76.0, 25.56, 4100, "arXiv:1905.11946, Table 2"
    )


def test_nothing_is_invented() -> None:
    assert published_figures(parse_arch("efficientnet_b0:phi=0.5")) is None
    assert published_figures("torchvision:resnet18") is None


@pytest.mark.parametrize("line", OURS, ids=lambda line: f"{line.name} {line.source}")
def test_printed_costs_are_near_the_counted_ones(line: Published) -> None:
    """A slip of a digit would show: but for two explained misprints all are within 6 % or a rounded unit."""
    found = cost(parse_arch(line.name))
    assert found.macs / 1e6 == pytest.approx(line.macs_m, rel=0.06, abs=4)
    assert found.params / 1e6 == pytest.approx(line.params_m, rel=0.03, abs=0.06)
    assert line.source
