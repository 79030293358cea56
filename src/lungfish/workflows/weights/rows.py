"""Sets of weights as the rows of a table."""

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
    """One set of weights. Empty or None where a thing is not known.

    Args:
        name: as every command takes it.
        source: where it comes from.
        license: SPDX identifier; NOASSERTION or empty if unknown.
        sha256: of the file.
        bytes: size of the file.
        params: parameters of the network, counted.
        top1: published ImageNet top-1 in percent.
        url: a page about it.
        cached: whether this machine holds it.
        stars: on the service where it was found.
        updated: day of the last change there, ISO 8601.
        next_command: what to run next to start from these weights; empty if nothing was searched online.
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
    """The catalogue, and what was fetched besides; with the hashes of what was fetched."""
    known = {}
    for name, entry in catalogue().items():
        record = record_of(entry)
        known[name] = record.entry if record else entry
    others = [record.entry for record in Store().records() if record.entry.name not in known]
    return [*known.values(), *others]


def entry_row(entry: WeightsEntry) -> WeightsRow:
    """The row of one entry."""
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
    except LungfishError:  # one broken file must not hide the others
        return False


def arch_of(entry: WeightsEntry) -> Arch | None:
    """The network of an entry; None until its file was looked into, or if the network's own file is gone."""
    try:
        return parse_arch(entry.arch)
    except UsageError:
        return None


def sorted_rows(rows: Iterable[Licensed]) -> list[Licensed]:
    """Permissive licenses first, unknown ones last, else in the order given."""
    return sorted(rows, key=lambda row: (not is_permissive(row.license), is_unknown(row.license)))


def is_unknown(license_id: str) -> bool:
    """Whether nobody says what the license is."""
    return license_id in ("", NOASSERTION)


@cache
def count_params(arch: Arch) -> int:
    """Parameters of a network."""
    return sum(map(op_params, lower(arch)))
