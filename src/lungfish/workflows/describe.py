"""Describe one network: its table, its layers and their costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.architecture import Arch, parse_arch
from lungfish.costs import Cost, cost
from lungfish.pictures import check_picture_file, network_picture, write_picture


@dataclass(frozen=True)
class Description:
    """A network and its cost for one image."""

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
    """Count the cost of a network, and draw it on request.

    Args:
        name: Architecture name, or the path of its JSON file.
        precision: Precision for counting bytes: `fp32`, `fp16` or `int8`.
        plot: An .svg or .png file to write, with the network and one of its blocks.

    Raises:
        UsageError: The name is not a network, the precision does not exist, or `plot` is not a picture's file name.
        MachineError: The picture cannot be written.
    """
    picture = check_picture_file(plot) if plot else None
    arch = parse_arch(name)
    description = Description(arch, cost(arch, precision))  # cost checks the name
    if picture:
        write_picture(network_picture(arch), picture)
    return description
