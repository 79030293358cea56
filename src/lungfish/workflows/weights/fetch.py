"""One set of weights, by its name, onto this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungfish.architecture import parse_arch
from lungfish.core.errors import UsageError
from lungfish.core.names import printable
from lungfish.weights.converted import convert_fetched
from lungfish.weights.fetch import FetchOptions, file_of
from lungfish.weights.fetch import fetch as fetch_entry
from lungfish.weights.fit import same_layers
from lungfish.weights.ledger import Card
from lungfish.weights.load import load_network
from lungfish.weights.resolve import resolve
from lungfish.workflows.weights.rows import entry_row


@dataclass(frozen=True)
class Fetched:
    """A set of weights on this machine.

    Args:
        card: what the ledger keeps.
        file: where its file is; for a TensorFlow checkpoint, the name before `.index`.
    """

    card: Card
    file: Path

    def to_json(self) -> dict[str, Any]:
        card = self.card
        return entry_row(card.entry).to_json() | {
            "file": str(self.file),
            "fetched": card.fetched,
            "origin": card.origin,
            "accepted_license": card.accepted_license,
            "converted_sha256": card.converted_sha256,
        }


def fetch(name: str, arch: str | None, options: FetchOptions) -> Fetched:
    """Find out what `name` stands for, bring it onto this machine, and convert it to our own names.

    Args:
        name: of the catalogue, or a scheme such as `hf:owner/repo`.
        arch: the network, for files that do not tell it.
        options: how to fetch.

    Raises:
        UsageError: no such name, or a license that was not accepted.
        MachineError: it cannot be fetched, written or read.
    """
    card = convert_fetched(fetch_entry(resolve(name, arch, offline=options.offline), options))
    network = load_network(card.entry)
    if arch and not same_layers(parse_arch(arch), network.arch):
        raise UsageError(f"{printable(name)} is of {network.arch.name}, not of {printable(arch)}", "Leave --arch out.")
    return Fetched(card, file_of(card))
