"""A network as data: a table and the few numbers that scale it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import isclose, prod
from typing import Any

from lungfish.architecture.checks import check_multiplier, check_rate, check_text, check_whole, shown
from lungfish.architecture.reading import read_object
from lungfish.architecture.rounding import ROUNDINGS, round_depth, round_resolution
from lungfish.architecture.scaling import COMPOUND
from lungfish.architecture.table import MAX_CHANNELS, BlockRow, NetworkTable
from lungfish.core.errors import ArchitectureError

MAX_RESOLUTION_PX = 4096
MAX_MULTIPLIER = 64.0
MAX_BLOCKS = 1000
MAX_CLASSES = 1_000_000
MAX_NAME = 200
SAME = 1e-12  # relative, of multipliers


@dataclass(frozen=True, eq=False)
class Arch:
    """One network: rows and unrounded multipliers. Equal if these are (to a relative 1e-12), whatever the name.

    Args:
        name: what people call it.
        table: the unscaled network.
        width: multiplier of every channel count.
        depth: multiplier of every row's number of blocks.
        native_px: side of the square input at resolution 1.
        dropout: rate before the classifier.
        drop_path_rate: rate of stochastic depth at the end; it grows linearly from 0 at the first block.
        classes: outputs of the classifier.
        in_channels: channels of the input.
        resolution: multiplier of `native_px`; a product is rounded to a multiple of 8.

    Raises:
        ArchitectureError: a value that makes no network; the message names it.
    """

    name: str
    table: NetworkTable
    width: float = 1.0
    depth: float = 1.0
    native_px: int = 224
    dropout: float = 0.2
    drop_path_rate: float = 0.2
    classes: int = 1000
    in_channels: int = 3
    resolution: float = 1.0

    def __post_init__(self) -> None:
        check_text("name", self.name, longest=MAX_NAME)
        if not self.name.partition(":")[0]:
            raise ArchitectureError(f"name is {shown(self.name)}; it must not be empty, nor begin with a colon")
        if not isinstance(self.table, NetworkTable):
            raise ArchitectureError(f"table is {shown(self.table)}; it must be a Table")
        for name in ("width", "depth", "resolution"):
            check_multiplier(name, getattr(self, name), MAX_MULTIPLIER)
        check_whole("native_px", self.native_px, 1, MAX_RESOLUTION_PX)
        check_whole("resolution_px", self.resolution_px, self.total_stride, MAX_RESOLUTION_PX)
        for name in ("dropout", "drop_path_rate"):
            check_rate(name, getattr(self, name))
        check_whole("classes", self.classes, 1, MAX_CLASSES)
        check_whole("in_channels", self.in_channels, 1, 1024)
        check_whole("the number of blocks", sum(self.stage_depths), 1, MAX_BLOCKS)
        for number, width in enumerate(self.stage_widths, start=1):
            check_whole(f"row {number}: the scaled width", width, 1, MAX_CHANNELS)
        check_whole("the scaled width of the stem", self.stem_width, 1, MAX_CHANNELS)
        check_whole("the scaled width of the head", self.head_width, 1, MAX_CHANNELS)

    @property
    def resolution_px(self) -> int:
        """Side of the square input."""
        unscaled = isclose(self.resolution, 1)
        return self.native_px if unscaled else round_resolution(self.native_px * self.resolution)

    @property
    def total_stride(self) -> int:
        """Input pixels for each pixel of the last feature map, along one side."""
        return 2 * prod(row.stride for row in self.table.rows)

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Number of blocks of each row, after scaling."""
        rows = self.table.rows
        ends = {0, len(rows) - 1} if self.table.fixed_ends else set()
        return tuple(row.depth if i in ends else round_depth(row.depth * self.depth) for i, row in enumerate(rows))

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Output channels of each row, after scaling."""
        return tuple(self._round(row.width * self.width) for row in self.table.rows)

    @property
    def stem_width(self) -> int:
        """Channels of the first convolution, after scaling."""
        return self._round(self.table.stem * self.width) if self.table.stem_scales else self.table.stem

    @property
    def head_width(self) -> int:
        """Channels of the last feature map, after scaling: the length of the feature vector."""
        table = self.table
        if table.head == 0:
            return self.stage_widths[-1]
        if table.head_scales == "never":
            return table.head
        return self._round(table.head * (max(1.0, self.width) if table.head_scales == "up_only" else self.width))

    def _round(self, channels: float) -> int:
        return ROUNDINGS[self.table.rounding](channels)

    def with_classes(self, classes: int) -> Arch:
        """The same trunk with a classifier of `classes` outputs."""
        return replace(self, classes=classes)

    def with_in_channels(self, in_channels: int) -> Arch:
        """The same network for images of `in_channels` channels."""
        return replace(self, in_channels=in_channels)

    def scale(self, *, phi: float = 0.0, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> Arch:
        """A larger or smaller network of the same family. Scaling in two steps ends where one step ends.

        Args:
            phi: compound coefficient; multiplies depth by 1.2, width by 1.1, resolution by 1.15 to its power.
            width: multiplies the width that the network has.
            depth: multiplies its depth.
            resolution: side of the input in pixels, taken as it is; whatever phi makes of it if None.

        Raises:
            ArchitectureError: a value out of range, or a network beyond the limits.
        """
        check_multiplier("width", width, MAX_MULTIPLIER)
        check_multiplier("depth", depth, MAX_MULTIPLIER)
        wider, deeper, finer = COMPOUND.factors(phi)
        factors = (("phi", phi, 0), ("width", width, 1), ("depth", depth, 1))
        settings = [f"{key}={value:.12g}" for key, value, neutral in factors if value != neutral]
        if resolution is not None:
            settings.append(f"resolution={shown(resolution)}")
        try:
            return replace(
                self,
                name=_extended(self.name, settings),
                width=self.width * (wider * width),
                depth=self.depth * (deeper * depth),
                native_px=self.native_px if resolution is None else resolution,
                resolution=self.resolution * finer if resolution is None else 1.0,
            )
        except ArchitectureError as error:
            raise ArchitectureError(f"{self.name} scaled by {', '.join(settings)}: {error.message}") from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Arch) or self._whole != other._whole:
            return False
        pairs = zip(self._multipliers, other._multipliers, strict=True)
        return all(isclose(mine, theirs, rel_tol=SAME) for mine, theirs in pairs)

    def __hash__(self) -> int:
        return hash(self._whole)

    @property
    def _multipliers(self) -> tuple[float, float, float]:
        """Compared as floats, because 1.1 ** 0.5 * 1.1 ** 0.5 is not quite 1.1."""
        return self.width, self.depth, self.resolution

    @property
    def _whole(self) -> tuple[object, ...]:
        """All else but the name, and what the multipliers come to, whose rounding passes over their last digits."""
        scaled = (self.stage_widths, self.stage_depths, self.stem_width, self.head_width, self.resolution_px)
        rates = (self.dropout, self.drop_path_rate)
        return (self.table, scaled, self.native_px, *rates, self.classes, self.in_channels)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back to an equal `Arch`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: str | dict[str, Any]) -> Arch:
        """Read what `to_json` wrote, from an object or its text.

        Raises:
            ArchitectureError: not JSON, an unknown or missing key, a wrong type or value.
        """
        try:
            values = json.loads(value) if isinstance(value, str) else value
            if isinstance(values, dict) and "drop_connect" in values:  # its name in earlier bundles
                values = {"drop_path_rate" if key == "drop_connect" else key: item for key, item in values.items()}
            fields = read_object(cls, "the architecture", values)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError(f"the architecture is not JSON: {error}") from None
        table = read_object(NetworkTable, "table", fields["table"])
        if not isinstance(table["rows"], list | tuple):
            raise ArchitectureError(f"rows is {shown(table['rows'])}; it must be a list")
        table["rows"] = [
            BlockRow(**read_object(BlockRow, f"row {i}", row)) for i, row in enumerate(table["rows"], start=1)
        ]
        fields["table"] = NetworkTable(**table)
        return cls(**fields)

    def __str__(self) -> str:
        side = self.resolution_px
        heading = f"{self.name}: {side} x {side} x {self.in_channels}, {self.classes} classes ({self.table.source})"
        columns = zip(*[("input", "operator", "expand", "channels", "blocks", "stride"), *self._lines()], strict=True)
        padded = [_column(cells, left=index < 2) for index, cells in enumerate(columns)]
        return "\n".join([heading, *("  " + "  ".join(line).rstrip() for line in zip(*padded, strict=True))])

    def _lines(self) -> Iterator[tuple[str, ...]]:
        """The printed table: one line for each stage, with scaled numbers."""
        table, side, width = self.table, self.resolution_px, self.in_channels
        squeeze = f", squeeze-and-excite {table.squeeze:g}" if table.squeeze else ""
        yield f"{side} x {side} x {width}", "convolution 3x3", "", str(self.stem_width), "1", "2"
        side, width = -(-side // 2), self.stem_width
        for row, channels, depth in zip(table.rows, self.stage_widths, self.stage_depths, strict=True):
            operator = f"{table.block} {row.kernel}x{row.kernel}{squeeze}"
            numbers = (row.expand, channels, depth, row.stride)
            yield f"{side} x {side} x {width}", operator, *map(str, numbers)
            side, width = -(-side // row.stride), channels
        if table.head:
            yield f"{side} x {side} x {width}", "convolution 1x1", "", str(self.head_width), "1", "1"
        yield f"{side} x {side} x {self.head_width}", "average pool, linear", "", str(self.classes), "1", ""


def _extended(name: str, settings: list[str]) -> str:
    """`NAME:key=value,...` with further settings, which apply from left to right; cut if it gets too long to read."""
    base, _, before = name.partition(":")
    joined = ",".join([before, *settings] if before else settings)
    extended = f"{base}:{joined}" if joined else base
    return extended if len(extended) <= MAX_NAME else f"{extended[: MAX_NAME - 3]}..."


def _column(cells: tuple[str, ...], *, left: bool) -> list[str]:
    width = max(map(len, cells))
    return [cell.ljust(width) if left else cell.rjust(width) for cell in cells]
