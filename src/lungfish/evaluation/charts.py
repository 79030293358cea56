"""Draw charts as SVG text. They contain numbers only, no user text; colors are classes of report.css."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray

from lungfish.evaluation.calibration import ReliabilityBin
from lungfish.evaluation.rejection import CoverageRow
from lungfish.evaluation.report_data import Epoch
from lungfish.evaluation.wording import percent

# The plot's box inside a 360 x 300 picture.
LEFT, TOP, WIDTH, HEIGHT = 44.0, 12.0, 304.0, 240.0
CONFUSION_STEPS = (0.05, 0.15, 0.30, 0.50)  # shares of the true class at which an error's cell gets darker
DIAGONAL_STEPS = (0.50, 0.70, 0.85, 0.95)


def interval_bar(value: float, low: float, high: float) -> str:
    """Draw a value and its interval on a line from 0 to 1, as decoration: the text gives the same numbers."""
    x = [f"{2 + 96 * share:.1f}" for share in (low, high, value)]
    return (
        '<svg class="bar" viewBox="0 0 100 10" aria-hidden="true"><path class="rail" d="M2 5H98"/>'
        f'<path class="span" d="M{x[0]} 5H{x[1]}"/><path class="mark" d="M{x[2]} 1V9"/></svg>'
    )


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> str:
    """Draw accuracy against confidence: a dot per bin, with the number of photos as area and the error as stem."""
    most = max(b.count for b in bins)
    stems = "".join(
        f'<path class="stem" d="M{_x(b.confidence):.1f} {_y(b.confidence):.1f}V{_y(b.accuracy):.1f}"/>' for b in bins
    )
    dots = "".join(
        f'<circle class="point" cx="{_x(b.confidence):.1f}" cy="{_y(b.accuracy):.1f}" '
        f'r="{2 + 9 * (b.count / most) ** 0.5:.1f}"><title>{b.count:,} photos: stated {percent(b.confidence)}, '
        f"right {percent(b.accuracy)}</title></circle>"
        for b in bins
    )
    ideal = f'<path class="ideal" d="M{LEFT} {TOP + HEIGHT}L{LEFT + WIDTH} {TOP}"/>'
    label = "Reliability diagram: share of right answers against stated probability."
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    body = f"{ideal}{stems}{dots}"
    return _plot(label, "stated probability", _axes(ticks, ticks) + body)


def coverage_curve(rows: Sequence[CoverageRow]) -> str:
    """Draw the accuracy of the accepted answers against the share of photos that get one."""
    shown = [(row.coverage, row.accuracy, row) for row in rows if row.accuracy is not None]
    bottom = min(floor(10 * accuracy) / 10 for _, accuracy, _ in shown)
    bottom = min(bottom, 0.9)
    places = [(_x(coverage), _y((accuracy - bottom) / (1 - bottom))) for coverage, accuracy, _ in shown]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle class="{"chosen" if row.chosen else "point"}" cx="{x:.1f}" cy="{y:.1f}" '
        f'r="{6 if row.chosen else 3}"><title>threshold {row.threshold:g}: {percent(coverage)} get an answer, '
        f"{percent(accuracy)} of these are right</title></circle>"
        for (x, y), (coverage, accuracy, row) in zip(places, shown, strict=True)
    )
    ticks = [bottom + step * (1 - bottom) / 4 for step in range(5)]
    axes = _axes((0.0, 0.25, 0.5, 0.75, 1.0), ticks)
    label = "Coverage curve: accuracy of the accepted answers against the share of photos that get one."
    return _plot(label, "photos that get an answer", f'{axes}<polyline class="curve" points="{line}"/>{dots}')


def learning_curves(epochs: Sequence[Epoch]) -> str:
    """Draw top-1 on training views and on validation photos, epoch by epoch."""
    shares = {"train": [epoch.top1 for epoch in epochs], "val": [epoch.val_top1 for epoch in epochs]}
    bottom = min(0.9, floor(10 * min(map(min, shares.values()))) / 10)
    parts = [_axes((), [bottom + step * (1 - bottom) / 4 for step in range(5)]), _epoch_ticks(len(epochs))]
    for name, values in shares.items():
        places = [
            (_x((i + 1) / len(values)), _y((value - bottom) / (1 - bottom)), value) for i, value in enumerate(values)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        where = "training views" if name == "train" else "validation photos"
        dots = "".join(
            f'<circle class="point {name}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>epoch {i}: '
            f"{percent(value)} of the {where}</title></circle>"
            for i, (x, y, value) in enumerate(places, start=1)
        )
        parts.append(f'<polyline class="curve {name}" points="{line}"/>{dots}')
    label = "Learning curves: top-1 on training views and on validation photos after each epoch."
    return _plot(label, "epoch", "".join(parts), unit="")


def heat_classes(confusion: NDArray[np.int64]) -> list[list[str]]:
    """Return a style class for each cell of a confusion matrix, by its share of the true class.

    The classes are `d0` to `d4` on the diagonal, `e0` to `e4` off it, and `zero` for a count of 0.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return [[_heat(share, on_diagonal=i == j) for j, share in enumerate(row)] for i, row in enumerate(shares.tolist())]


def _heat(share: float, *, on_diagonal: bool) -> str:
    if share == 0:
        return "zero"
    steps = DIAGONAL_STEPS if on_diagonal else CONFUSION_STEPS
    return ("d" if on_diagonal else "e") + str(sum(share >= step for step in steps))


def _x(share: float) -> float:
    return LEFT + WIDTH * share


def _y(share: float) -> float:
    return TOP + HEIGHT * (1 - share)


def _axes(x_ticks: Sequence[float], y_values: Sequence[float]) -> str:
    """Draw grid lines and labels; `y_values` are evenly spaced from the bottom of the plot to its top."""
    parts = [
        f'<text x="{_x(x):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{100 * x:.0f}</text>' for x in x_ticks
    ]
    for step, value in enumerate(y_values):
        y = _y(step / (len(y_values) - 1))
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{LEFT + WIDTH}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_tick(100 * value)}</text>')
    return "".join(parts)


def _epoch_ticks(count: int) -> str:
    """Label at most ten epochs, always including the last."""
    step = -(-count // 10)
    return "".join(
        f'<text x="{_x(epoch / count):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{epoch}</text>'
        for epoch in range(count, 0, -step)
    )


def _tick(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 1e-6 else f"{value:.1f}"


def _plot(label: str, x_title: str, body: str, unit: str = ", %") -> str:
    title = f'<text class="title" x="{LEFT + WIDTH}" y="{TOP + HEIGHT + 38}" text-anchor="end">{x_title}{unit}</text>'
    return f'<svg class="plot" viewBox="0 0 360 300" role="img" aria-label="{label}">{body}{title}</svg>'
