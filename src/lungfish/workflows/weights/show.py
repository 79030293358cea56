"""Show everything known about one set of weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungfish.costs import Cost, cost
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import local_file, record_of
from lungfish.weights.license import is_permissive
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import WeightsRecord
from lungfish.workflows.weights.rows import arch_of


@dataclass(frozen=True)
class Shown:
    """One set of weights.

    Args:
        entry: The published entry, with the hash of the fetched file.
        cost: Cost of its network at its resolution; None if only the file states the network.
        file: Local path, or None.
        record: The stored record, if the weights were fetched.
    """

    entry: WeightsEntry
    cost: Cost | None
    file: Path | None
    record: WeightsRecord | None

    @property
    def permissive(self) -> bool:
        """Whether the license allows fetching without acceptance."""
        return is_permissive(self.entry.license)

    def to_json(self) -> dict[str, Any]:
        cost, record = self.cost, self.record
        return asdict(self.entry) | {
            "params": cost.params if cost else None,
            "macs": cost.macs if cost else None,
            "permissive": self.permissive,
            "cached": self.file is not None,
            "fetched": record.fetched if record else None,
            "origin": record.origin if record else None,
            "accepted_license": record.accepted_license if record else None,
            "converted_sha256": record.converted_sha256 if record else None,
            "verified": asdict(record.verified) if record and record.verified else None,
        }


def show(name: str) -> Shown:
    """Return what the stored record, the catalogue or the named service states about the weights.

    Raises:
        UnknownNameError: No weights have that name.
        UsageError: The name has no known form.
        MachineError: A service cannot be reached.
    """
    entry = resolve(name)
    record = record_of(entry)
    if record:
        entry = record.entry
    arch = arch_of(entry)
    return Shown(entry, cost(arch) if arch else None, local_file(entry), record)
