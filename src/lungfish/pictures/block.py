"""Draw a block in detail, with feature maps as slabs: channels as thickness, sides as height and depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lungfish.architecture import Arch
from lungfish.pictures.anatomy import Block, Step
from lungfish.pictures.canvas import Canvas, Point

LEFT, RIGHT = 70.0, 1170.0
TALLEST, THICKEST = 150.0, 170.0
SLANT = 0.35  # pixels to the right and up per pixel of a slab's depth
WIDEST_GAP = 235.0
CLEAREST_SIDE = 18  # side of the map on which kernel and pixels are easiest to see
WORDS = {
    "expand": "expand",
    "filter": "filter",
    "compress": "compress",
    "mix": "mix",
    "full": "filter and mix",
}


@dataclass(frozen=True)
class Slab:
    """A feature map as a slab: channels run across the front, rows upward, and columns into the depth.

    Args:
        left: Left edge of the front.
        floor: Lower edge of the front.
        thickness: Width of the front, in proportion to the channels.
        height: Height of the front, in proportion to the map's side.
    """

    left: float
    floor: float
    thickness: float
    height: float

    @property
    def right(self) -> float:
        """Right edge, including the depth."""
        return self.left + self.thickness + SLANT * self.height

    @property
    def top(self) -> Point:
        """Middle of the upper face."""
        slant = SLANT * self.height / 2
        return self.left + self.thickness / 2 + slant, self.floor - self.height - slant

    def front(self, x: float, y: float) -> Point:
        """Return a point on the front; `x` and `y` run from 0 to 1 from its lower left corner."""
        return self.left + x * self.thickness, self.floor - y * self.height

    def plane(self, x: float, y: float) -> Point:
        """Return a point on the right side; `x` and `y` run from 0 to 1 from its lower near corner."""
        slant = SLANT * x * self.height
        return self.left + self.thickness + slant, self.floor - y * self.height - slant

    def draw(self, canvas: Canvas) -> None:
        """Draw the front, the upper face and the right side."""
        slant = SLANT * self.height
        (x0, y0), (x1, y1) = self.front(0, 1), self.front(1, 1)
        canvas.polygon((self.front(0, 0), self.front(1, 0), (x1, y1), (x0, y0)), "map")
        canvas.polygon(((x0, y0), (x1, y1), (x1 + slant, y1 - slant), (x0 + slant, y0 - slant)), "top")
        canvas.polygon((self.plane(0, 0), self.plane(1, 0), self.plane(1, 1), self.plane(0, 1)), "side")

    def draw_kernel(self, canvas: Canvas, step: Step) -> None:
        """Draw the inputs of one output value: a patch of one channel, or of all channels."""
        share = min(step.kernel / step.sides[0], 1.0)
        low, high = 0.5 - share / 2, 0.5 + share / 2
        corners = ((low, low), (high, low), (high, high), (low, high))
        if step.role == "filter":
            canvas.polygon((self.plane(x, y) for x, y in corners), step.role)
        else:
            canvas.polygon((self.front(x, y) for x, y in ((0, low), (1, low), (1, high), (0, high))), step.role)


def draw_block(canvas: Canvas, arch: Arch, blocks: Sequence[Block], top: float) -> None:
    """Draw the most instructive block, preferably one with a shortcut and all steps, below the height `top`."""
    block = max((each for each in blocks if each.name.startswith("blocks.")), key=_instructiveness)
    slabs = _slabs(block.steps, floor=top + 265)
    number = int(block.name.partition(".")[2]) + 1
    canvas.text((40, top + 20), f"Block {number} of {sum(arch.stage_depths)}", "heading")
    canvas.text(
        (40, top + 40),
        "thickness: channels; height and depth: resolution; color: inputs of one output value",
        "small soft",
    )
    shapes = [(block.steps[0].channels[0], block.steps[0].sides[0])]
    shapes += [(step.channels[1], step.sides[1]) for step in block.steps]
    for slab, (channels, side) in zip(slabs, shapes, strict=True):
        slab.draw(canvas)
        x = slab.left + slab.thickness / 2
        canvas.text((x, slab.floor + 20), f"{channels} channels", "strong", "middle")
        canvas.text((x, slab.floor + 37), f"{side} x {side}", "small soft", "middle")
    for step, before, after in zip(block.steps, slabs, slabs[1:], strict=False):
        before.draw_kernel(canvas, step)
        _arrow(canvas, step, (before.right, after.left), after.floor - TALLEST / 2, arch.table.act)
    if block.squeeze:
        _squeeze(canvas, block, slabs[-2])
    if block.shortcut:
        _shortcut(canvas, slabs[0], slabs[-1])


def _instructiveness(block: Block) -> tuple[bool, int, bool, float]:
    before, after = block.steps[0].sides[0], block.steps[-1].sides[1]
    return block.shortcut, len(block.steps), before == after, -abs(math.log(after / CLEAREST_SIDE))


def _slabs(steps: Sequence[Step], floor: float) -> list[Slab]:
    channels = [steps[0].channels[0], *(step.channels[1] for step in steps)]
    sides = [steps[0].sides[0], *(step.sides[1] for step in steps)]
    thick, tall = THICKEST / max(channels), TALLEST / max(sides)
    sizes = [(max(count * thick, 2.0), side * tall) for count, side in zip(channels, sides, strict=True)]
    room = RIGHT - LEFT - sum(width + SLANT * height for width, height in sizes)
    gap, x, slabs = min(room / len(steps), WIDEST_GAP), LEFT, []
    for width, height in sizes:
        slabs.append(Slab(x, floor, width, height))
        x = slabs[-1].right + gap
    return slabs


def _arrow(canvas: Canvas, step: Step, ends: tuple[float, float], y: float, act: str) -> None:
    left, right = ends
    x = (left + right) / 2
    canvas.path(f"M{left + 10:.1f} {y:.1f}H{right - 12:.1f}m-6 -4l6 4l-6 4", "line")
    canvas.text((x, y - 30), WORDS[step.role], f"strong {step.role}-ink", "middle")
    kind = "depthwise" if step.role == "filter" else "pointwise" if step.kernel == 1 else "convolution"
    after = "linear" if step.linear else {"relu": "ReLU", "relu6": "ReLU6", "silu": "SiLU"}[act]
    canvas.text((x, y - 12), f"{kind} {step.kernel}x{step.kernel}, {after}", "small", "middle")
    canvas.text((x, y + 20), f"{step.macs / 1e6:,.2f} M multiply-adds", "small soft", "middle")
    canvas.text((x, y + 36), f"{step.params:,} parameters", "small soft", "middle")


def _squeeze(canvas: Canvas, block: Block, slab: Slab) -> None:
    """Annotate squeeze-and-excite above the map that it scales."""
    channels = block.steps[-1].channels[0]
    x, y = slab.top
    canvas.path(f"M{x - 7:.1f} {y - slab.height * SLANT / 2 - 8:.1f}v-16m-4 4l4 -4l4 4m6 -4v16m-4 -4l4 4l4 -4", "line")
    y -= slab.height * SLANT / 2 + 32
    note = f"{channels} means, {block.squeeze} numbers, a gate for each channel; {block.squeeze_params:,} parameters"
    canvas.text((x, y - 15), "squeeze and excite", "strong squeeze-ink", "middle")
    canvas.text((x, y), note, "small soft", "middle")


def _shortcut(canvas: Canvas, first: Slab, last: Slab) -> None:
    """Draw the shortcut from the block's input to its output, below the slabs."""
    x0, x1 = first.left + first.thickness / 2, last.left + last.thickness / 2
    y, low = first.floor + 44, first.floor + 66
    canvas.path(f"M{x0:.1f} {y:.1f}V{low - 8:.1f}q0 8 8 8H{x1 - 8:.1f}q8 0 8 -8V{y:.1f}m-4 6l4 -6l4 6", "shortcut")
    canvas.text(((x0 + x1) / 2, low - 7), "shortcut: the input is added to the output", "small", "middle")
