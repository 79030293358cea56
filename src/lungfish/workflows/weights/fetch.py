"""One set of weights, by its name, onto this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions, file_of
from lungfish.weights.load import load_network
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import WeightsRecord
from lungfish.workflows.weights.rows import entry_row


@dataclass(frozen=True)
class Fetched:
    """A set of weights on this machine.

    Args:
        record: what the ledger keeps.
        file: where its file is; for a TensorFlow checkpoint, the name before `.index`.
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
    """Find out what `name` stands for, bring it onto this machine, and convert it to our own names.

    Args:
        name: of the catalogue, or a scheme such as `hf:owner/repo`.
        arch: the network, for files that do not tell it; others must be of it, save the classifier.
        options: how to fetch.

    Raises:
        UsageError: no such name, or a license that was not accepted.
        MachineError: it cannot be fetched, written or read.
    """
    record = fetch_converted(resolve(name, arch, offline=options.offline), options)
    load_network(record.entry)  # that it fits is told now, not when it is used
    return Fetched(record, file_of(record))
