"""A family of networks as its paper prints it: a table of rows, and a few facts around it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from lungfish.core.errors import ArchitectureError

Block = Literal["inverted_residual"]
Activation = Literal["relu", "relu6", "silu"]
HeadScaling = Literal["always", "up_only", "never"]

BLOCKS: tuple[Block, ...] = ("inverted_residual",)
ACTIVATIONS: tuple[Activation, ...] = ("relu", "relu6", "silu")
HEAD_SCALINGS: tuple[HeadScaling, ...] = ("always", "up_only", "never")
MAX_CHANNELS = 65_536

ALLOWED = {  # values of a row
    "expand": range(1, 17),
    "kernel": range(1, 12, 2),
    "stride": range(1, 3),
    "width": range(1, MAX_CHANNELS + 1),
    "depth": range(1, 101),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `depth` equal blocks, the first of which has the stride. Input channels are derived.

    Args:
        expand: expansion factor of the block's hidden channels, 1 to 16.
        kernel: side of the depthwise kernel, odd, 1 to 11.
        stride: 1 or 2.
        width: output channels before scaling.
        depth: number of blocks before scaling.
    """

    expand: int
    kernel: int
    stride: int
    width: int
    depth: int

    def problem(self) -> str:
        """What is wrong with this row, or an empty string."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int):
                return f"{field.name} is {value!r}; it must be a whole number"
        for name, allowed in ALLOWED.items():
            if getattr(self, name) not in allowed:
                return f"{name} is {getattr(self, name)}; allowed are {_described(allowed)}"
        return ""


@dataclass(frozen=True, slots=True)
class Table:
    """The unscaled network.

    Args:
        source: paper and table, or the authors' code.
        rows: the stages between stem and head.
        block: what each row repeats.
        act: activation.
        stem: channels of the first convolution (3x3, stride 2).
        head: channels of the last pointwise convolution.
        stem_scales: whether the width multiplier applies to the stem.
        head_scales: whether it applies to the head: `always`, `up_only` (multipliers above 1) or `never`.
        fixed_ends: whether the depth multiplier spares the first and the last row.
    """

    source: str
    rows: tuple[Row, ...]
    block: Block
    act: Activation
    stem: int
    head: int
    stem_scales: bool = True
    head_scales: HeadScaling = "always"
    fixed_ends: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.rows) <= 100:
            raise ArchitectureError(f"the table has {len(self.rows)} rows; allowed are 1 to 100")
        for number, row in enumerate(self.rows, start=1):
            if problem := row.problem():
                raise ArchitectureError(f"row {number}: {problem}")
        for name, allowed in (("block", BLOCKS), ("act", ACTIVATIONS), ("head_scales", HEAD_SCALINGS)):
            if getattr(self, name) not in allowed:
                raise ArchitectureError(f"{name} is {getattr(self, name)!r}; allowed are {', '.join(allowed)}")
        for name in ("stem", "head"):
            if not 1 <= getattr(self, name) <= MAX_CHANNELS:
                raise ArchitectureError(f"{name} is {getattr(self, name)}; allowed are 1 to {MAX_CHANNELS}")


def _described(allowed: range) -> str:
    return ", ".join(map(str, allowed)) if len(allowed) < 8 else f"{allowed.start} to {allowed.stop - 1}"
