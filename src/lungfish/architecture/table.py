"""Describe a family of networks as its paper does: a table of rows and a few settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lungfish.architecture.checks import check_number, check_one_of, check_text, check_whole, shown
from lungfish.architecture.rounding import ROUNDINGS, Rounding
from lungfish.core.errors import ArchitectureError

Block = Literal["inverted_residual", "depthwise_separable", "full_convolution"]
Activation = Literal["relu", "relu6", "silu"]
HeadScaling = Literal["always", "up_only", "never"]
Initialization = Literal["fan_out", "truncated"]

BLOCKS: tuple[Block, ...] = ("inverted_residual", "depthwise_separable", "full_convolution")
ACTIVATIONS: tuple[Activation, ...] = ("relu", "relu6", "silu")
HEAD_SCALINGS: tuple[HeadScaling, ...] = ("always", "up_only", "never")
INITIALIZATIONS: tuple[Initialization, ...] = ("fan_out", "truncated")
MAX_CHANNELS = 65_536
MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One row of the table: `depth` identical blocks, except that only the first is strided.

    The input channels are the output channels of the previous row, or of the stem.

    Args:
        expand: Expansion factor of the block's hidden channels, 1 to 16.
        kernel: Side of the spatial kernel, odd, 1 to 11.
        stride: Stride of the first block, 1 or 2.
        width: Output channels before scaling.
        depth: Number of blocks before scaling, 1 to 100.
    """

    expand: int
    kernel: int
    stride: int
    width: int
    depth: int

    def check(self) -> None:
        """Raise `ArchitectureError` if a value is out of range."""
        check_whole("expand", self.expand, 1, 16)
        check_one_of("kernel", self.kernel, (1, 3, 5, 7, 9, 11))
        check_one_of("stride", self.stride, (1, 2))
        check_whole("width", self.width, 1, MAX_CHANNELS)
        check_whole("depth", self.depth, 1, 100)


@dataclass(frozen=True, slots=True)
class NetworkTable:
    """The unscaled network.

    Args:
        source: Paper and table, or the authors' code.
        rows: Rows between stem and head.
        block: Block that the rows repeat.
        act: Activation.
        stem: Channels of the first convolution (3x3, stride 2).
        head: Channels of the last pointwise convolution; 0 for none.
        squeeze: Middle channels of squeeze-and-excite in every block, as a share of the block's input; 0 for none.
        rounding: Rounding of scaled channels: to the `nearest_8` multiple, or `down`.
        stem_scales: Whether the width multiplier applies to the stem.
        head_scales: Whether it applies to the head: `always`, `up_only` (multipliers above 1) or `never`.
        fixed_ends: Whether the first and last row are exempt from the depth multiplier.
        initialization: Initialization of the kernels in the authors' code: `fan_out` or `truncated` normal.

    Raises:
        ArchitectureError: A value is out of range; the message names it and its row.
    """

    source: str
    rows: tuple[BlockRow, ...]
    block: Block
    act: Activation
    stem: int
    head: int
    squeeze: float = 0.0
    rounding: Rounding = "nearest_8"
    stem_scales: bool = True
    head_scales: HeadScaling = "always"
    fixed_ends: bool = False
    initialization: Initialization = "fan_out"

    def __post_init__(self) -> None:
        check_text("source", self.source)
        check_one_of("block", self.block, BLOCKS)
        check_one_of("act", self.act, ACTIVATIONS)
        check_whole("stem", self.stem, 1, MAX_CHANNELS)
        check_whole("head", self.head, 0, MAX_CHANNELS)
        check_number("squeeze", self.squeeze, 0, 1)
        check_one_of("rounding", self.rounding, ROUNDINGS)
        check_one_of("stem_scales", self.stem_scales, (True, False))
        check_one_of("head_scales", self.head_scales, HEAD_SCALINGS)
        check_one_of("fixed_ends", self.fixed_ends, (True, False))
        check_one_of("initialization", self.initialization, INITIALIZATIONS)
        object.__setattr__(self, "rows", self._checked(self.rows))
        if self.squeeze and self.block != "inverted_residual":
            raise ArchitectureError(f"squeeze is {self.squeeze:g}; it must be 0 for {self.block} blocks")

    def _checked(self, rows: Iterable[BlockRow]) -> tuple[BlockRow, ...]:
        rows = tuple(rows)
        if not 1 <= len(rows) <= MAX_ROWS:
            raise ArchitectureError(f"the table has {len(rows)} rows; it must have 1 to {MAX_ROWS}")
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, BlockRow):
                raise ArchitectureError(f"row {number} is {shown(row)}; it must be a BlockRow")
            try:
                row.check()
            except ArchitectureError as error:
                raise ArchitectureError(f"row {number}: {error.message}") from None
            if row.expand != 1 and self.block != "inverted_residual":
                raise ArchitectureError(f"row {number}: expand is {row.expand}; it must be 1 for {self.block} blocks")
        return rows
