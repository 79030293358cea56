"""List the networks that Lungfish knows, with their costs and published figures."""

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
        name: Name, as every command accepts it.
        params: Counted parameters, not the published number.
        macs: Multiply-adds, counted at the network's own resolution.
        resolution_px: Side of the square input.
        published: Figures from the paper or the authors' code, if any.
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
    """Return every named network and every published variant, in the papers' order."""
    rows = []
    for arch in dict.fromkeys((*published_archs(), *NAMED.values())):
        found = cost(arch)
        rows.append(ModelRow(arch.name, found.params, found.macs, arch.resolution_px, published_figures(arch)))
    return tuple(rows)
