"""Describe one network: its table, its layers and their costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.architecture import Arch, ArchLike, to_arch
from lungfish.core.columns import table
from lungfish.core.names import printable
from lungfish.costs import Cost, Precision, cost
from lungfish.pictures import check_picture_file, network_picture, write_picture


@dataclass(frozen=True, repr=False)
class Description:
    """A network and its cost for one image. It prints as its table and figures."""

    arch: Arch
    cost: Cost

    def __repr__(self) -> str:
        found, peak = self.cost, _mb(self.cost.peak_activation_bytes)
        rows = [
            ["parameters", f"{found.params:,}"],
            ["multiply-adds", f"{found.macs:,}"],
            [
                "peak activations",
                f"{peak} in {found.precision}, at {found.peak_at}",
            ],
            ["peak, expansions streamed", f"{_mb(found.peak_streamed_bytes)} (arXiv:1801.04381, section 5.1)"],
            ["memory traffic", f"{_mb(found.moved_bytes)}; {found.macs_per_byte:.1f} multiply-adds per byte"],
        ]
        return "\n".join([*map(printable, str(self.arch).splitlines()), "", table(rows, left=(0, 1))])

    def to_json(self) -> dict[str, Any]:
        counted = self.cost.to_json()
        return {
            "name": self.arch.name,
            "params": counted.pop("params"),
            "macs": counted.pop("macs"),
            "blocks": sum(self.arch.stage_depths),
            "resolution_px": self.arch.resolution_px,
            **counted,
        }


def describe(arch: ArchLike, precision: Precision = "fp32", plot: str | Path | None = None) -> Description:
    """Count the cost of a network, and draw it on request.

    Args:
        arch: An architecture's name or JSON file, an `Arch`, or a network.
        precision: Precision for counting bytes: `fp32`, `fp16` or `int8`.
        plot: An .svg or .png file to write, with the network and one of its blocks.

    Returns:
        The `Arch` and its `Cost`, layer by layer. It prints as the table of `lungfish describe`.

    Raises:
        UsageError: The name is not a network, the precision does not exist, or `plot` is not a picture's file name.
        MachineError: The picture cannot be written.

    Example:
        >>> import lungfish as lf
        >>> found = lf.describe("mobilenet_v2:resolution=96")
        >>> found.cost.layers[0].name, found.cost.layers[0].out_shape
        ('stem.conv', (32, 48, 48))
    """
    picture = check_picture_file(Path(plot)) if plot else None
    found = to_arch(arch)
    description = Description(found, cost(found, precision))  # cost checks the name of the precision
    if picture:
        write_picture(network_picture(found), picture)
    return description


def _mb(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"
