"""Describe a network as data: a table and the numbers that scale it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
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
SAME = 1e-12  # relative tolerance for equal multipliers


@dataclass(frozen=True, eq=False)
class Arch:
    """A network architecture: a table of rows and unrounded multipliers.

    Two architectures are equal if all values except the name are equal, multipliers to a relative 1e-12.

    Args:
        name: Name for display.
        table: The unscaled network.
        width: Multiplier of all channel counts.
        depth: Multiplier of the number of blocks in each row.
        native_px: Side of the square input in pixels, before scaling by `resolution`.
        dropout: Dropout rate before the classifier.
        drop_path_rate: Rate of stochastic depth at the last block; it grows linearly from 0 at the first block.
        classes: Number of classes.
        in_channels: Number of input channels.
        resolution: Multiplier of `native_px`; unless it is 1, the product is rounded to a multiple of 8.

    Raises:
        ArchitectureError: A value is invalid; the message names it.
    """

    name: str
    table: NetworkTable = field(repr=False)
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
            raise ArchitectureError(f"name is {shown(self.name)}; it must not be empty or begin with a colon")
        if not isinstance(self.table, NetworkTable):
            raise ArchitectureError(f"table is {shown(self.table)}; it must be a NetworkTable")
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
        """Side of the square input, in pixels."""
        unscaled = isclose(self.resolution, 1)
        return self.native_px if unscaled else round_resolution(self.native_px * self.resolution)

    @property
    def total_stride(self) -> int:
        """Side of the input divided by the side of the last feature map."""
        return 2 * prod(row.stride for row in self.table.rows)

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Number of blocks in each row, after scaling."""
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
        """Channels of the last feature map, after scaling; also the length of the feature vector."""
        table = self.table
        if table.head == 0:
            return self.stage_widths[-1]
        if table.head_scales == "never":
            return table.head
        return self._round(table.head * (max(1.0, self.width) if table.head_scales == "up_only" else self.width))

    def _round(self, channels: float) -> int:
        return ROUNDINGS[self.table.rounding](channels)

    def with_classes(self, classes: int) -> Arch:
        """Return a copy with a different number of classes."""
        if classes == 0:  # timm's way to ask for features
            raise ArchitectureError(
                "the number of classes is 0; it must be at least 1",
                "For pooled features, keep the classifier and call network.features(x); for feature maps, build with "
                "features_only=True.",
            )
        return replace(self, classes=classes)

    def with_in_channels(self, in_channels: int) -> Arch:
        """Return a copy with a different number of input channels."""
        return replace(self, in_channels=in_channels)

    def scale(self, *, phi: float = 0.0, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> Arch:
        """Return a larger or smaller network of the same family. Scaling in two steps or in one gives the same result.

        Args:
            phi: Compound coefficient, which multiplies depth by 1.2**phi, width by 1.1**phi, resolution by 1.15**phi.
            width: Additional factor for the width.
            depth: Additional factor for the depth.
            resolution: Side of the input in pixels, not rounded; if None, it is scaled by phi.

        Raises:
            ArchitectureError: A value is out of range, or the network exceeds the limits.

        Example:
            >>> lungfish.arch("efficientnet_b0").scale(phi=1).resolution_px
            256
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
        if not isinstance(other, Arch) or self._exact != other._exact:
            return False
        pairs = zip(self._multipliers, other._multipliers, strict=True)
        return all(isclose(mine, theirs, rel_tol=SAME) for mine, theirs in pairs)

    def __hash__(self) -> int:
        return hash(self._exact)

    @property
    def _multipliers(self) -> tuple[float, float, float]:
        """The values compared with a tolerance, because 1.1 ** 0.5 * 1.1 ** 0.5 is not exactly 1.1."""
        return self.width, self.depth, self.resolution

    @property
    def _exact(self) -> tuple[object, ...]:
        """The values compared exactly: all but the name, with scaled and rounded sizes instead of multipliers."""
        scaled = (self.stage_widths, self.stage_depths, self.stem_width, self.head_width, self.resolution_px)
        rates = (self.dropout, self.drop_path_rate)
        return (self.table, scaled, self.native_px, *rates, self.classes, self.in_channels)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object from which `from_json` reads an equal `Arch`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: str | dict[str, Any]) -> Arch:
        """Read an architecture from the object that `to_json` returns, or from its JSON text.

        Raises:
            ArchitectureError: The text is not JSON, a key is unknown or missing, or a value has a wrong type or range.
        """
        try:
            values = json.loads(value) if isinstance(value, str) else value
            if isinstance(values, dict) and "drop_connect" in values:  # the name in earlier bundles
                values = {"drop_path_rate" if key == "drop_connect" else key: item for key, item in values.items()}
            fields = read_object(cls, "the architecture", values)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError(f"the architecture is not valid JSON: {error}") from None
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
        """Yield the lines of the printed table, one for each row, with scaled numbers."""
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
    """Append settings, which apply from left to right, to `NAME:key=value,...`; truncate at `MAX_NAME` characters."""
    base, _, before = name.partition(":")
    joined = ",".join([before, *settings] if before else settings)
    extended = f"{base}:{joined}" if joined else base
    return extended if len(extended) <= MAX_NAME else f"{extended[: MAX_NAME - 3]}..."


def _column(cells: tuple[str, ...], *, left: bool) -> list[str]:
    width = max(map(len, cells))
    return [cell.ljust(width) if left else cell.rjust(width) for cell in cells]
