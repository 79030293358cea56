"""Represent weights as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, TypeVar

from lungfish.architecture import Arch, lower, parse_arch
from lungfish.core.errors import LungfishError, UsageError
from lungfish.costs import op_params
from lungfish.weights.catalogue import catalogue
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import local_file, record_of
from lungfish.weights.license import NOASSERTION, is_permissive
from lungfish.weights.store.store import Store


@dataclass(frozen=True)
class WeightsRow:
    """One set of weights. Empty or None means unknown.

    Args:
        name: Name, as every command accepts it.
        source: Where the weights come from.
        license: SPDX identifier; NOASSERTION or empty if unknown.
        sha256: SHA-256 of the file.
        bytes: Size of the file.
        params: Counted parameters of the network.
        top1: Published ImageNet top-1, in percent.
        url: A page about the weights.
        cached: Whether they are on this machine.
        stars: Stars or likes on the service where they were found.
        updated: Date of the last change there, ISO 8601.
        next_command: Command to run next with these weights; empty unless the search was online.
    """

    name: str
    source: str
    license: str
    sha256: str = ""
    bytes: int | None = None
    params: int | None = None
    top1: float | None = None
    url: str = ""
    cached: bool = False
    stars: int | None = None
    updated: str = ""
    next_command: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Licensed = TypeVar("Licensed", WeightsRow, WeightsEntry)


def known_entries() -> list[WeightsEntry]:
    """Return the catalogue and all other fetched weights, with the hashes of the fetched files."""
    known = {}
    for name, entry in catalogue().items():
        record = record_of(entry)
        known[name] = record.entry if record else entry
    others = [record.entry for record in Store().records() if record.entry.name not in known]
    return [*known.values(), *others]


def entry_row(entry: WeightsEntry) -> WeightsRow:
    """Return the row of one entry."""
    arch = arch_of(entry)
    return WeightsRow(
        name=entry.name,
        source=entry.source,
        license=entry.license,
        sha256=entry.sha256,
        bytes=entry.bytes,
        params=count_params(arch) if arch else None,
        top1=entry.top1,
        url=entry.url,
        cached=_is_local(entry),
    )


def _is_local(entry: WeightsEntry) -> bool:
    try:
        return local_file(entry) is not None
    except LungfishError:  # a broken file must not hide the others
        return False


def arch_of(entry: WeightsEntry) -> Arch | None:
    """Return the network of an entry, or None if its file was not read yet, or its architecture's JSON file is gone."""
    try:
        return parse_arch(entry.arch)
    except UsageError:
        return None


def sorted_rows(rows: Iterable[Licensed]) -> list[Licensed]:
    """Sort permissive licenses first and unknown ones last; otherwise keep the order."""
    return sorted(rows, key=lambda row: (not is_permissive(row.license), is_unknown(row.license)))


def is_unknown(license_id: str) -> bool:
    """Return whether no license is stated."""
    return license_id in ("", NOASSERTION)


@cache
def count_params(arch: Arch) -> int:
    """Return the number of parameters of a network."""
    return sum(map(op_params, lower(arch)))
