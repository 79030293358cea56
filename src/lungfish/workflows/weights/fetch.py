"""Fetch weights by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions, file_of
from lungfish.weights.load import load_weights
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import WeightsRecord
from lungfish.workflows.weights.rows import entry_row


@dataclass(frozen=True)
class Fetched:
    """Weights on this machine.

    Args:
        record: The stored record.
        file: Path of the file; for a TensorFlow checkpoint, the name before `.index`.
    """

    record: WeightsRecord
    file: Path

    def to_json(self) -> dict[str, Any]:
        record = self.record
        return entry_row(record.entry).to_json() | {
            "file": str(self.file),
            "fetched": record.fetched,
            "origin": record.origin,
            "accepted_license": record.accepted_license,
            "converted_sha256": record.converted_sha256,
        }


def fetch(name: str, arch: str | None, options: FetchOptions) -> Fetched:
    """Resolve a name, fetch the weights, and convert them to our own names.

    Args:
        name: A catalogue name, or one with a scheme such as `hf:owner/repo`.
        arch: Network, for files that do not state it; otherwise it must match, except for the classifier.
        options: How to fetch.

    Raises:
        UsageError: The name does not exist, or the license was not accepted.
        MachineError: The weights cannot be fetched, written or read.
    """
    record = fetch_converted(resolve(name, arch, offline=options.offline), options)
    load_weights(record.entry)  # fail now, not at first use, if the weights do not fit
    return Fetched(record, file_of(record))
