"""Draw a network and one of its blocks to scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from lungfish.architecture import Arch
from lungfish.costs import cost
from lungfish.pictures.anatomy import Block, Step, anatomy
from lungfish.pictures.block import draw_block
from lungfish.pictures.canvas import Canvas, text_width

WIDTH, HEIGHT = 1240.0, 1000.0
LEFT, RIGHT = 170.0, 1200.0  # edges of the outline
AXIS = 270.0  # middle of the outline
TALLEST = 300.0
LARGEST_SQUARE = 110.0
SQUARES = 585.0  # lower edge of the squares
LEGEND = {
    "expand": "expand, 1x1",
    "filter": "filter, one kernel for each channel",
    "compress": "compress, 1x1, linear",
    "mix": "mix channels, 1x1",
    "full": "full convolution",
    "plain": "stem, head",
}
LONGEST_TITLE = 90


@dataclass(frozen=True)
class Piece:
    """One step of the outline, from `left` to `right` on the axis."""

    block: Block
    step: Step
    left: float
    right: float


def network_picture(arch: Arch) -> str:
    """Draw how channels and resolution change along the network, and one block in detail, as SVG."""
    blocks, counted = anatomy(arch), cost(arch)
    pieces = tuple(_place([block for block in blocks if block.name != "classifier"]))  # it has no feature map
    heading = f"{counted.macs / 1e6:,.0f} M multiply-adds, {counted.params / 1e6:.2f} M parameters"
    canvas = Canvas(WIDTH, HEIGHT, f"{arch.name}: {heading}, drawn to scale")
    title = arch.name if len(arch.name) <= LONGEST_TITLE else f"{arch.name[:LONGEST_TITLE]}..."
    canvas.text((40, 48), title, "title")
    canvas.text((40, 74), f"{heading}, {sum(arch.stage_depths)} blocks", "soft")
    _legend(canvas, pieces)
    _resolutions(canvas, arch, pieces)
    _outline(canvas, pieces)
    draw_block(canvas, arch, blocks, top=650.0)
    return canvas.svg()


def _place(blocks: Sequence[Block]) -> Iterator[Piece]:
    steps = sum(len(block.steps) for block in blocks)
    unit = (RIGHT - LEFT) / (steps + 0.5 * len(blocks))
    x = LEFT
    for block in blocks:
        for step in block.steps:
            yield Piece(block, step, x, x + unit)
            x += unit
        x += 0.5 * unit


def _legend(canvas: Canvas, pieces: Sequence[Piece]) -> None:
    roles = {piece.step.role for piece in pieces}
    x = RIGHT
    for role, words in reversed([*LEGEND.items()]):
        if role in roles:
            x -= text_width(words, 11.5)
            canvas.text((x, 74), words, "small")
            canvas.rect(x - 18, 63.5, 12, 12, role)
            x -= 42


def _outline(canvas: Canvas, pieces: Sequence[Piece]) -> None:
    """Draw each step as a trapezoid from its input to its output channels, and a bar (`neck`) between blocks."""
    most = max(max(piece.step.channels) for piece in pieces)
    scale = TALLEST / most

    def around(x: float, channels: int) -> tuple[tuple[float, float], tuple[float, float]]:
        half = max(channels * scale, 1.0) / 2
        return (x, AXIS - half), (x, AXIS + half)

    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        step = piece.step
        upper, lower = zip(around(piece.left, step.channels[0]), around(piece.right, step.channels[1]), strict=True)
        hint = f"{piece.block.name}: {step.channels[0]} to {step.channels[1]} channels, {step.macs:,} multiply-adds"
        canvas.polygon((*upper, *reversed(lower)), step.role, hint)
        if following and following.left > piece.right:
            (x, y0), (_, y1) = around(piece.right, step.channels[1])
            canvas.rect(x, y0, following.left - x, y1 - y0, "neck")
    for block, group in groupby(pieces, key=lambda piece: piece.block):
        if block.shortcut:
            _arc(canvas, list(group), scale)
    canvas.text((LEFT - 24, AXIS + 4), "channels", "small soft", "end")
    _scale_bar(canvas, scale, most)


def _arc(canvas: Canvas, pieces: Sequence[Piece], scale: float) -> None:
    """Draw a shortcut from the bar before a block to the bar after it."""
    top = AXIS - max(max(piece.step.channels) for piece in pieces) * scale / 2 - 10
    x0, x1 = pieces[0].left - 2, pieces[-1].right + 2
    y0, y1 = (AXIS - channels * scale / 2 for channels in (pieces[0].step.channels[0], pieces[-1].step.channels[1]))
    canvas.path(f"M{x0:.1f} {y0:.1f}V{top + 6:.1f}q0 -6 6 -6H{x1 - 6:.1f}q6 0 6 6V{y1:.1f}", "shortcut")


def _scale_bar(canvas: Canvas, scale: float, most: int) -> None:
    length = 10 ** (len(str(most)) - 1)
    half = length * scale / 2
    x = LEFT - 16
    canvas.path(f"M{x - 3} {AXIS - half:.1f}h6m-3 0V{AXIS + half:.1f}m-3 0h6", "line")
    canvas.text((x - 8, AXIS + 20), f"bar: {length:,}", "small soft", "end")


def _resolutions(canvas: Canvas, arch: Arch, pieces: Sequence[Piece]) -> None:
    """Draw each resolution as a square below the steps that output it, with the output channels of their blocks."""
    runs = [(side, list(group)) for side, group in groupby(pieces, key=lambda piece: piece.step.sides[1])]
    spans = [(side, group[0].left, group[-1].right, group) for side, group in runs if side > 1]
    scale = min([LARGEST_SQUARE / arch.resolution_px, *((right - left) / side for side, left, right, _ in spans)])
    _square(canvas, 40, arch.resolution_px, scale)
    canvas.text((40, SQUARES + 38), f"{arch.in_channels} channels", "small soft")
    for side, left, right, group in spans:
        _square(canvas, left, side, scale)
        canvas.path(f"M{left:.1f} {SQUARES + 4}V{SQUARES + 7}H{right:.1f}V{SQUARES + 4}", "line")
        canvas.path(f"M{left:.1f} {AXIS - TALLEST / 2}V{SQUARES - side * scale - 8:.1f}", "dashed")
        necks = dict.fromkeys(piece.step.channels[1] for piece in group if piece.step is piece.block.steps[-1])
        canvas.text((left, SQUARES + 38), ", ".join(map(str, necks)), "small soft")


def _square(canvas: Canvas, left: float, side: int, scale: float) -> None:
    canvas.rect(left, SQUARES - side * scale, side * scale, side * scale, "map")
    canvas.text((left, SQUARES + 22), f"{side} x {side}", "small")
