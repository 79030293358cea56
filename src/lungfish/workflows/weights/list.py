"""List the known weights."""

from __future__ import annotations

from lungfish.architecture import NAMED, parse_arch
from lungfish.weights.convert.fit import same_layers
from lungfish.weights.entry import WeightsEntry
from lungfish.workflows.weights.rows import WeightsRow, arch_of, entry_row, known_entries, sorted_rows


def list_weights(arch: str | None = None) -> list[WeightsRow]:
    """Return all catalogued and fetched weights: permissive licenses first, then by network.

    Args:
        arch: Architecture that the weights must fit, at any resolution.

    Raises:
        UsageError: The name is not a network.
    """
    entries = sorted(known_entries(), key=by_network)
    if arch:
        wanted = parse_arch(arch)
        entries = [entry for entry in entries if (own := arch_of(entry)) and same_layers(wanted, own)]
    return sorted_rows(map(entry_row, entries))


def by_network(entry: WeightsEntry) -> tuple[int, float, float]:
    """Return a sort key: networks in the papers' order, then wider, then more accurate weights first."""
    base, arch = entry.arch.partition(":")[0], arch_of(entry)
    place = list(NAMED).index(base) if base in NAMED else len(NAMED)
    return place, -(arch.width if arch else 0), -(entry.top1 or 0)
