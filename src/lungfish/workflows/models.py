"""The networks that Lungfish knows: what they cost, and what was published of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lungfish.architecture import NAMED
from lungfish.architecture.published import Published, published_archs, published_figures
from lungfish.costs import cost


@dataclass(frozen=True)
class ModelRow:
    """One network.

    Args:
        name: as every command takes it.
        params: counted, not printed.
        macs: counted at its own resolution.
        resolution_px: side of the square input.
        published: the line of the paper or of the authors' code, if there is one.
    """

    name: str
    params: int
    macs: int
    resolution_px: int
    published: Published | None

    def to_json(self) -> dict[str, Any]:
        line = self.published
        return {
            "name": self.name,
            "params": self.params,
            "macs": self.macs,
            "resolution_px": self.resolution_px,
            "published": {"top1": line.top1, "source": line.source} if line else None,
        }


def models() -> tuple[ModelRow, ...]:
    """Every named network and every published variant, in the papers' order."""
    rows = []
    for arch in dict.fromkeys((*published_archs(), *NAMED.values())):
        found = cost(arch)
        rows.append(ModelRow(arch.name, found.params, found.macs, arch.resolution_px, published_figures(arch)))
    return tuple(rows)
