"""Draw shapes and text as SVG. All text is escaped, since names come from users' files."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from lungfish.core.names import printable

Point = tuple[float, float]

STYLE = """
svg { background: #fcfbf8 }
text { font-family: 'Helvetica Neue', Helvetica, 'Liberation Sans', Arial, sans-serif; font-size: 13px; fill: #1c2021 }
.title { font-size: 22px; font-weight: bold }
.heading { font-size: 15px; font-weight: bold }
.soft { fill: #5b6264 }
.small { font-size: 11.5px }
.strong { font-weight: bold }
.sheet { fill: #fcfbf8 }
.line { stroke: #5b6264; stroke-width: 1; fill: none }
.grid { stroke: #e0ddd3; stroke-width: 1; fill: none }
.dashed { stroke: #cfcabd; stroke-width: 1; stroke-dasharray: 2 4; fill: none }
.shortcut { stroke: #1c2021; stroke-width: 1; fill: none }
.map { fill: #ece8dd; stroke: #8b8577; stroke-width: 1 }
.top { fill: #f6f3eb; stroke: #8b8577; stroke-width: 1 }
.side { fill: #dcd6c7; stroke: #8b8577; stroke-width: 1 }
.plain { fill: #a9a598 }
.neck { fill: #d3cec1 }
.expand { fill: #e2a33b }
.filter { fill: #16897d }
.compress { fill: #3f6db3 }
.mix { fill: #3f6db3 }
.full { fill: #8d5aa5 }
.expand-line { stroke: #e2a33b; stroke-width: 2.5; fill: none }
.filter-line { stroke: #16897d; stroke-width: 2.5; fill: none }
.compress-line { stroke: #3f6db3; stroke-width: 2.5; fill: none }
.mobilenet_v1 { fill: #8d5aa5 }
.mobilenet_v2 { fill: #3f6db3 }
.efficientnet { fill: #16897d }
.efficientnet_lite { fill: #e2a33b }
.yardstick { fill: #77726a }
.faint { fill-opacity: .4 }
.mobilenet_v1-line { stroke: #8d5aa5; stroke-width: 2; fill: none }
.mobilenet_v2-line { stroke: #3f6db3; stroke-width: 2; fill: none }
.efficientnet-line { stroke: #16897d; stroke-width: 2; fill: none }
.efficientnet_lite-line { stroke: #e2a33b; stroke-width: 2; fill: none }
.mobilenet_v1-ink { fill: #6f3f87; font-weight: bold }
.mobilenet_v2-ink { fill: #2c5494; font-weight: bold }
.efficientnet-ink { fill: #0b6b63; font-weight: bold }
.efficientnet_lite-ink { fill: #9a6608; font-weight: bold }
.ring { stroke: #1c2021; stroke-width: 2; fill: none }
.pin { fill: #1c2021 }
.expand-ink { fill: #9a6608 }
.filter-ink { fill: #0b6b63 }
.compress-ink { fill: #2c5494 }
.mix-ink { fill: #2c5494 }
.squeeze-ink { fill: #a83a14 }
.full-ink { fill: #6f3f87 }
"""


class Canvas:
    """An SVG picture.

    Args:
        width: Width in pixels.
        height: Height in pixels.
        label: Description of the picture, for screen readers.
    """

    def __init__(self, width: float, height: float, label: str) -> None:
        size = {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 0 {width:g} {height:g}"}
        about = {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": printable(label)}
        self._root = ET.Element("svg", about | size)
        ET.SubElement(self._root, "style").text = STYLE
        self.rect(0, 0, width, height, "sheet")

    def rect(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """Draw a rectangle, given its upper left corner."""
        self._add("rect", style, {"x": _px(x), "y": _px(y), "width": _px(width), "height": _px(height)})

    def polygon(self, points: Iterable[Point], style: str, hint: str = "") -> None:
        """Draw a filled polygon; `hint` is its tooltip."""
        self._add("polygon", style, {"points": " ".join(f"{_px(x)},{_px(y)}" for x, y in points)}, hint)

    def polyline(self, points: Iterable[Point], style: str) -> None:
        """Draw an open line."""
        self._add("polyline", style, {"points": " ".join(f"{_px(x)},{_px(y)}" for x, y in points)})

    def path(self, commands: str, style: str) -> None:
        """Draw a path of SVG commands."""
        self._add("path", style, {"d": commands})

    def circle(self, center: Point, radius: float, style: str, hint: str = "") -> None:
        """Draw a circle; `hint` is its tooltip."""
        self._add("circle", style, {"cx": _px(center[0]), "cy": _px(center[1]), "r": _px(radius)}, hint)

    def text(self, at: Point, text: str, style: str = "", anchor: str = "start") -> None:
        """Write one line of text; `anchor` is `start`, `middle` or `end`."""
        self._add("text", style, {"x": _px(at[0]), "y": _px(at[1]), "text-anchor": anchor}).text = printable(text)

    def svg(self) -> str:
        """Return the picture as SVG text."""
        ET.indent(self._root)
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def _add(self, kind: str, style: str, geometry: dict[str, str], hint: str = "") -> ET.Element:
        attributes = {"class": style} | geometry if style else geometry
        element = ET.SubElement(self._root, kind, attributes)
        if hint:
            ET.SubElement(element, "title").text = printable(hint)
        return element


def text_width(text: str, size: float = 13.0, *, bold: bool = False) -> float:
    """Estimate the width of `text`, in pixels."""
    narrow = sum(character in "fijlrt.,:' " for character in text)
    return size * (0.3 * narrow + 0.56 * (len(text) - narrow)) * (1.06 if bold else 1.0)


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
