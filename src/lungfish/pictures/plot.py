"""Plot points on a logarithmic x axis and a linear y axis, with labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from lungfish.pictures.canvas import Canvas, Point, text_width

LABEL_PX, LABEL_SMALL_PX = 13.0, 11.5
AWAY = (12, 16, 22, 30, 42, 56)  # pixels between a mark and its label
AROUND = ((1, 0), (0, -1), (0, 1), (-1, 0), (0.7, 0.8), (-0.7, -0.8), (0.7, -0.8), (-0.7, 0.8))
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


@dataclass
class Plot:
    """A canvas with axes, which records occupied areas so that labels do not overlap.

    Args:
        canvas: Canvas to draw on.
        box: Plot area.
        across: Smallest and largest x value, both above 0.
        upwards: Smallest and largest y value.
        ground: Pixels between the smallest y value and the x axis.
        taken: Occupied areas.
    """

    canvas: Canvas
    box: Box
    across: tuple[float, float]
    upwards: tuple[float, float]
    ground: float = 0.0
    taken: list[Box] = field(default_factory=list)

    def at(self, x: float, y: float) -> Point:
        """Return the point on the canvas for a pair of values."""
        _, top, _, bottom = self.box
        low, high = self.upwards
        return self.x(x), bottom - self.ground - (y - low) / (high - low) * (bottom - self.ground - top)

    def x(self, value: float) -> float:
        """Return the x coordinate of a value."""
        left, _, right, _ = self.box
        low, high = self.across
        return left + math.log(value / low) / math.log(high / low) * (right - left)

    def draw_axes(self, across: Iterable[tuple[float, str]], upwards: Iterable[int], name: str) -> None:
        """Draw horizontal grid lines with their values, and the x axis with ticks and name.

        Args:
            across: Values and labels of the ticks on the x axis; those outside the plot are left out.
            upwards: Values of the grid lines.
            name: Name of the x axis.
        """
        left, _, right, bottom = self.box
        low, high = self.across
        for value in upwards:
            y = self.at(low, value)[1]
            self.canvas.path(f"M{left} {y:.1f}H{right}", "grid")
            self.canvas.text((left - 10, y + 4), str(value), "soft", "end")
        self.canvas.path(f"M{left} {bottom}H{right}", "line")
        for tick, text in across:
            if low <= tick <= high:
                x = self.x(tick)
                self.canvas.path(f"M{x:.1f} {bottom}v5", "line")
                self.canvas.text((x, bottom + 21), text, "soft", "middle")
        self.canvas.text((right, bottom + 44), name, "soft", "end")

    def keep_clear(self, center: Point, radius: float) -> None:
        """Keep labels away from a point."""
        x, y = center
        self.taken.append((x - radius, y - radius, x + radius, y + radius))

    def keep_line_clear(self, start: Point, end: Point) -> None:
        """Keep labels away from a line."""
        steps = max(1, int(math.dist(start, end) / 6))
        for i in range(steps + 1):
            share = i / steps
            self.keep_clear((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])), 3)

    def label(self, center: Point, text: str, style: str, size: float = LABEL_PX) -> None:
        """Write `text` next to `center`, where it overlaps least."""
        width = text_width(text, size, bold=size == LABEL_PX)
        places = [
            (
                center[0] + dx * away - (width if dx < 0 else width / 2 if dx == 0 else 0),
                center[1] + dy * away + size / 3,
            )
            for away in AWAY
            for dx, dy in AROUND
        ]
        boxes = [(left, low - size, left + width, low + 3) for left, low in places]
        best = min(range(len(boxes)), key=lambda i: (self._covered(boxes[i]) + AWAY[i // len(AROUND)], i))
        self.taken.append(boxes[best])
        self.canvas.text(places[best], text, style)

    def _covered(self, box: Box) -> float:
        """Return the occupied area that a box covers, in square pixels, plus a penalty for leaving the plot."""
        left, top, right, bottom = box
        overlap = sum(
            max(0.0, min(right, r) - max(left, x)) * max(0.0, min(bottom, b) - max(top, y)) for x, y, r, b in self.taken
        )
        outside = max(0.0, self.box[0] + 2 - left) + max(0.0, right - self.box[2]) + max(0.0, self.box[1] - top)
        return overlap + 100 * outside
