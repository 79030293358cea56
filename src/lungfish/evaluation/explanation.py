"""Draw an explanation: a photo as the network sees it, and where it finds a class."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.names import printable
from lungfish.evaluation.heat_map import overlay
from lungfish.evaluation.wording import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES, DPI = (9.6, 5.9), 100
PAPER, INK, SOFT = "#fcfbf8", "#1c2021", "#5b6264"
LEFT, RIGHT, WIDTH = 0.025, 0.5125, 0.4625  # position and width of the panels, as shares of the figure's width
MOST_CHARACTERS = 200  # longest text whose width is measured


@dataclass(frozen=True)
class ExplainedAnswer:
    """The text of the picture.

    Args:
        file: Name of the photo.
        label: The answer.
        probability: Probability of `label`, in [0, 1].
        artifact: File name of the artifact that gave the answer.
        marked: The marked class: `label`, or a requested one.
        marked_probability: Probability of `marked`, in [0, 1].
    """

    file: str
    label: str
    probability: float
    artifact: str
    marked: str
    marked_probability: float


def explanation_png(pixels: NDArray[np.uint8], heat: NDArray[np.float32], said: ExplainedAnswer) -> bytes:
    """Draw an explanation as a PNG file.

    Args:
        pixels: uint8 `[side, side, 3]`, the photo as the network sees it.
        heat: float `[rows, columns]`, at least 0: contribution of each place to the logit of `said.marked`.
        said: Text of the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(INCHES, DPI, facecolor=PAPER)
    other = "" if said.marked == said.label else f", {percent(said.marked_probability)}"
    rows, columns = heat.shape
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # characters missing from the font are drawn as boxes
        _text(figure, (LEFT, 0.935), f"{said.label}, {percent(said.probability)}", 2 * WIDTH, size=20)
        _panel(figure, LEFT, f"what the network sees of {said.file}", Image.fromarray(pixels))
        _panel(figure, RIGHT, f"where it finds “{said.marked}”{other}", overlay(pixels, heat))
        _text(figure, (LEFT, 0.068), f"Answer of {said.artifact}.", WIDTH, color=SOFT)
        source = f"Class activation map of the float network, {rows} × {columns} places."
        _text(figure, (LEFT, 0.026), source, WIDTH, color=SOFT)
        _legend(figure)
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _panel(figure: Figure, left: float, caption: str, image: Image.Image) -> None:
    _picture(figure, (left, 0.115, WIDTH, WIDTH * INCHES[0] / INCHES[1]), image)
    _text(figure, (left, 0.885), caption, WIDTH)


def _legend(figure: Figure) -> None:
    grey, heat = np.full((16, 256, 3), 160, np.uint8), np.linspace(0, 1, 256, dtype=np.float32)[None]
    _picture(figure, (RIGHT, 0.07, 0.2, 0.025), overlay(grey, heat))
    _text(figure, (RIGHT, 0.026), "adds nothing", WIDTH, color=SOFT)
    _text(figure, (RIGHT + 0.2, 0.026), "adds most", WIDTH, color=SOFT, ha="right")


def _picture(figure: Figure, place: tuple[float, float, float, float], image: Image.Image) -> None:
    axes = figure.add_axes(place)
    axes.imshow(image, aspect="auto", interpolation="bicubic")
    axes.set_axis_off()


def _text(figure: Figure, at: tuple[float, float], text: str, width: float, **style: Any) -> None:
    """Draw one line, truncated to `width`, a share of the figure's width."""
    shown = printable(text)[:MOST_CHARACTERS]
    drawn = figure.text(*at, shown, parse_math=False, **({"color": INK} | style))  # a $ must not start a formula
    while drawn.get_window_extent().width > width * figure.bbox.width:
        shown = shown[:-1]
        drawn.set_text(f"{shown}…")
