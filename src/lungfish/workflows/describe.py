"""One network: its table, its layers and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.architecture import Arch, parse_arch
from lungfish.costs import Cost, cost
from lungfish.pictures import check_picture_file, network_picture, write_picture


@dataclass(frozen=True)
class Description:
    """A network and what one image costs in it."""

    arch: Arch
    cost: Cost

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


def describe(name: str, precision: str = "fp32", plot: Path | None = None) -> Description:
    """Count what `name` costs, and draw it if asked.

    Args:
        name: an architecture's name, or the path of its JSON file.
        precision: of the bytes: `fp32`, `fp16` or `int8`.
        plot: an .svg or .png to write: the network, and one of its blocks.

    Raises:
        UsageError: the name stands for no network, there is no such precision, or `plot` is no picture's name.
        MachineError: the picture cannot be written.
    """
    picture = check_picture_file(plot) if plot else None
    arch = parse_arch(name)
    description = Description(arch, cost(arch, precision))  # cost checks the name
    if picture:
        write_picture(network_picture(arch), picture)
    return description
