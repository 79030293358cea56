"""Plot accuracy against multiply-adds for published networks and the user's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lungfish.architecture.published import PUBLISHED, YARDSTICK, published_archs, published_figures
from lungfish.costs import cost
from lungfish.pictures.canvas import Canvas
from lungfish.pictures.plot import LABEL_SMALL_PX, Plot

WIDTH, HEIGHT = 1180.0, 800.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 1140.0, 110.0, 690.0  # edges of the plot
GROUND = 54.0  # space between the lowest accuracy and the axis, for networks without an accuracy
TITLES = {  # title of each family, and index of the network next to it
    "mobilenet_v1": ("MobileNetV1", 0),
    "mobilenet_v2": ("MobileNetV2", 0),
    "efficientnet_lite": ("EfficientNet-Lite", 2),
    "efficientnet": ("EfficientNet", -1),
}
FULL = "mobilenet_v1_full"
YARDSTICK_TITLES = {"resnet50": "ResNet-50", "resnet152": "ResNet-152", "inception_v3": "Inception-v3"}
MACS_TICKS = [mantissa * 10**power for power in range(3, 15) for mantissa in (1, 2, 5)]


@dataclass(frozen=True)
class Marked:
    """A network to mark.

    Args:
        name: Label of the mark.
        macs: Multiply-adds.
        top1: Top-1 accuracy in percent, published or measured; if None, the network gets only a pin on the axis.
    """

    name: str
    macs: int
    top1: float | None


@dataclass(frozen=True)
class _Dot:
    family: str
    name: str
    macs: float
    top1: float


def accuracy_picture(marked: Sequence[Marked] = ()) -> str:
    """Plot published ImageNet accuracy against counted multiply-adds, and mark some networks.

    Networks without a published or measured accuracy get a pin on the axis of multiply-adds.

    Returns:
        The plot as SVG.
    """
    dots = tuple(_published_dots())
    costs = [dot.macs for dot in dots] + [each.macs for each in marked]
    heights = [dot.top1 for dot in dots] + [each.top1 for each in marked if each.top1 is not None]
    label = "ImageNet top-1 against multiply-adds: MobileNetV1, V2, EfficientNet, Lite and others as published"
    lowest, highest = 10 * math.floor(min(heights) / 10), max(heights) + 2
    plot = Plot(
        Canvas(WIDTH, HEIGHT, label),
        (LEFT, TOP, RIGHT, BOTTOM),
        (min(costs) / 1.25, max(costs) * 1.3),
        (lowest, highest),
        GROUND,
    )
    plot.canvas.text((40, 46), "Accuracy against multiply-adds", "title")
    plot.canvas.text((40, 72), "ImageNet top-1 as published, %; multiply-adds counted, one image, logarithmic", "soft")
    macs_ticks = ((macs, f"{macs / 1e9:g} G" if macs >= 1e9 else f"{macs / 1e6:g} M") for macs in MACS_TICKS)
    plot.draw_axes(macs_ticks, range(lowest, int(highest) + 1, 5), "multiply-adds")
    _draw_families(plot, dots)
    _draw_marked(plot, marked)
    _label_families(plot, dots, marked)
    sources = dict.fromkeys(line.source for line in PUBLISHED if line in map(published_figures, published_archs()))
    note = "Lines connect the networks of a family at native resolution; faint dots are at lower resolutions."
    if any(each.top1 is None for each in marked):
        note += " Pins on the axis: no accuracy was published."
    plot.canvas.text((LEFT, HEIGHT - 48), note, "small soft")
    plot.canvas.text((LEFT, HEIGHT - 28), "Published: " + "; ".join(sources), "small soft")
    return plot.canvas.svg()


def _published_dots() -> Iterator[_Dot]:
    for arch in published_archs():
        line = published_figures(arch)
        assert line is not None
        family = next(family for family in TITLES if arch.name.startswith(family))
        yield _Dot(family, arch.name, cost(arch).macs, line.top1)
    for line in PUBLISHED:
        if line.name.startswith(YARDSTICK):
            yield _Dot("yardstick", line.name.removeprefix(YARDSTICK), line.macs_m * 1e6, line.top1)


def _draw_families(plot: Plot, dots: Sequence[_Dot]) -> None:
    """Draw a line through each family's networks at full resolution, and a dot for each network."""
    for family in TITLES:
        main = sorted((dot.macs, dot.top1) for dot in dots if dot.family == family and _on_line(dot))
        places = [plot.at(*place) for place in main]
        plot.canvas.polyline(places, f"{family}-line")
        for start, end in pairwise(places):
            plot.keep_line_clear(start, end)
    for dot in dots:
        center = plot.at(dot.macs, dot.top1)
        small = dot.family != "yardstick" and not _on_line(dot) and dot.name != FULL
        plot.canvas.circle(
            center, 3 if small else 5, dot.family + (" faint" if small else ""), f"{dot.name}: {dot.top1}"
        )
        plot.keep_clear(center, 3 if small else 6)


def _on_line(dot: _Dot) -> bool:
    return "resolution" not in dot.name and dot.name != FULL and dot.family != "yardstick"


def _draw_marked(plot: Plot, marked: Sequence[Marked]) -> None:
    """Draw a ring around each network with a known accuracy, and a pin on the axis for the others."""
    names = {plot.at(each.macs, each.top1): each.name for each in marked if each.top1 is not None}
    for center in names:
        plot.canvas.circle(center, 9, "ring")
        plot.keep_clear(center, 10)
    pins = {(plot.x(each.macs), BOTTOM - 16): each.name for each in marked if each.top1 is None}
    for x, _ in pins:
        plot.canvas.path(f"M{x:.1f} {BOTTOM}V{TOP}", "dashed")
        plot.canvas.polygon(((x, BOTTOM), (x - 6, BOTTOM - 11), (x + 6, BOTTOM - 11)), "pin")
        plot.keep_clear((x, BOTTOM - 6), 8)
    for center, name in (names | pins).items():
        plot.label(center, name.removeprefix(YARDSTICK), "strong")


def _label_families(plot: Plot, dots: Sequence[_Dot], marked: Sequence[Marked]) -> None:
    labeled = {each.name.removeprefix(YARDSTICK) for each in marked}
    for dot in dots:
        words = _short_name(dot)
        if words and dot.name not in labeled:
            plot.label(plot.at(dot.macs, dot.top1), words, "small soft", LABEL_SMALL_PX)
    for family, (title, nearby) in TITLES.items():
        line = sorted((dot.macs, dot.top1) for dot in dots if dot.family == family and _on_line(dot))
        plot.label(plot.at(*line[nearby]), title, f"{family}-ink")


def _short_name(dot: _Dot) -> str:
    if dot.family == "yardstick":
        return YARDSTICK_TITLES[dot.name]
    if dot.name == FULL:
        return "MobileNetV1 in full convolutions"
    return dot.name.rpartition("_")[2].capitalize() if dot.family.startswith("efficientnet") else ""
