"""A network as data: a table and the few numbers that scale it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from lungfish.architecture.table import Row, Table
from lungfish.core.errors import ArchitectureError

MAX_RESOLUTION_PX = 4096
MAX_MULTIPLIER = 64.0
MAX_CLASSES = 1_000_000


@dataclass(frozen=True)
class Arch:
    """One network: rows and unrounded multipliers. The lowering alone rounds.

    Args:
        name: what people call it.
        table: the unscaled network.
        width: multiplier of every channel count.
        depth: multiplier of every row's number of blocks.
        resolution_px: side of the square input.
        dropout: rate before the classifier.
        drop_connect: rate of stochastic depth at the last block; it grows linearly from 0 at the first.
        classes: outputs of the classifier.
        in_channels: channels of the input.

    Raises:
        ArchitectureError: a value that makes no network; the message names it.
    """

    name: str
    table: Table
    width: float = 1.0
    depth: float = 1.0
    resolution_px: int = 224
    dropout: float = 0.2
    drop_connect: float = 0.2
    classes: int = 1000
    in_channels: int = 3

    def __post_init__(self) -> None:
        for name in ("width", "depth"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 < value <= MAX_MULTIPLIER):
                raise ArchitectureError(f"{name} is {value!r}; allowed are numbers above 0 up to {MAX_MULTIPLIER:g}")
        for name, low, high in (
            ("resolution_px", self.total_stride, MAX_RESOLUTION_PX),
            ("classes", 1, MAX_CLASSES),
            ("in_channels", 1, 1024),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ArchitectureError(f"{name} is {value!r}; allowed are whole numbers from {low} to {high}")
        for name in ("dropout", "drop_connect"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 <= value < 1):
                raise ArchitectureError(f"{name} is {value!r}; allowed are numbers from 0 to below 1")

    @property
    def total_stride(self) -> int:
        """Input pixels for each pixel of the last feature map, along one side."""
        return 2 * math.prod(row.stride for row in self.table.rows)

    def with_classes(self, classes: int) -> Arch:
        """The same trunk with a classifier of `classes` outputs."""
        return replace(self, classes=classes)

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
            fields = dict(json.loads(value) if isinstance(value, str) else value)
            table = dict(fields.pop("table"))
            rows = tuple(Row(**row) for row in table.pop("rows"))
            return cls(table=Table(rows=rows, **table), **fields)
        except ArchitectureError:
            raise
        except KeyError as error:
            raise ArchitectureError(f"the architecture has no {error}") from None
        except (TypeError, ValueError) as error:
            raise ArchitectureError(f"this is no architecture: {error}") from None

    def __str__(self) -> str:
        table = self.table
        heading = (
            f"{self.name}: width {self.width:g}, depth {self.depth:g}, {self.resolution_px} px, {self.classes} classes"
        )
        lines = [
            heading,
            f"  {table.block}, {table.act}; stem {table.stem}, head {table.head}; {table.source}",
            "  expand  kernel  stride  width  depth",
        ]
        lines += [f"  {r.expand:6}  {r.kernel:6}  {r.stride:6}  {r.width:5}  {r.depth:5}" for r in table.rows]
        return "\n".join(lines)
