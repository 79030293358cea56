"""Plot accuracy against minutes of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lungfish.pictures.canvas import Canvas
from lungfish.pictures.plot import Plot

WIDTH, HEIGHT = 1180.0, 700.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 1140.0, 110.0, 590.0  # edges of the plot
# Styles of the curves, in order: those of the network families, for their colors.
INKS = ("mobilenet_v1", "efficientnet", "mobilenet_v2", "efficientnet_lite")
MINUTES_TICKS = [mantissa * 10**power for power in range(-2, 6) for mantissa in (1, 2, 5)]


@dataclass(frozen=True)
class Curve:
    """The accuracy of one training job over time, from the photos to the finished bundle.

    Args:
        name: Label of the curve.
        epochs: For each epoch, minutes since the start of the command and top-1 on validation photos, 0 to 1.
        minutes: Minutes until the bundle was finished.
        val: Top-1 of the bundle on validation photos, 0 to 1.
        test: Top-1 of the bundle on test photos, 0 to 1.
    """

    name: str
    epochs: Sequence[tuple[float, float]]
    minutes: float
    val: float
    test: float


def learning_picture(curves: Sequence[Curve]) -> str:
    """Plot top-1 of one to four jobs, on validation photos over time and on test photos at the end, as SVG."""
    assert 0 < len(curves) <= len(INKS)
    times = [minutes for curve in curves for minutes in (*(minutes for minutes, _ in curve.epochs), curve.minutes)]
    top1 = [value for curve in curves for value in (*(value for _, value in curve.epochs), curve.test)]
    lowest = 10 * math.floor(10 * min(top1))
    label = "Top-1 against minutes for " + ", ".join(curve.name for curve in curves)
    box = (LEFT, TOP, RIGHT, BOTTOM)
    plot = Plot(Canvas(WIDTH, HEIGHT, label), box, (min(times) / 1.3, max(times) * 1.3), (lowest, 100))
    plot.canvas.text((40, 46), "Accuracy against minutes", "title")
    plot.canvas.text((40, 72), "top-1, %; minutes since the start of the command, logarithmic", "soft")
    plot.draw_axes(((minutes, f"{minutes:g}") for minutes in MINUTES_TICKS), range(lowest, 101, 10), "minutes")
    for curve, ink in zip(curves, INKS, strict=False):
        _draw(plot, curve, ink)
    for curve, ink in zip(curves, INKS, strict=False):
        plot.label(plot.at(curve.minutes, 100 * curve.test), f"{curve.name}: {100 * curve.test:.1f} %", f"{ink}-ink")
    note = "Dots: validation photos, after each epoch; in jobs that start with a probe, the first dot is the probe. "
    plot.canvas.text((LEFT, HEIGHT - 28), note + "Rings: the finished bundle on the test photos.", "small soft")
    return plot.canvas.svg()


def _draw(plot: Plot, curve: Curve, ink: str) -> None:
    places = [plot.at(minutes, 100 * top1) for minutes, top1 in curve.epochs]
    plot.canvas.polyline(places, f"{ink}-line")
    for start, end in pairwise(places):
        plot.keep_line_clear(start, end)
    for place, (minutes, top1) in zip(places, curve.epochs, strict=True):
        plot.canvas.circle(place, 3, ink, f"{curve.name}, {minutes:.1f} minutes: {100 * top1:.1f} %")
    end = plot.at(curve.minutes, 100 * curve.test)
    plot.canvas.circle(end, 5, ink, f"{curve.name}, test photos: {100 * curve.test:.1f} %")
    plot.canvas.circle(end, 9, "ring")
    plot.keep_clear(end, 10)
