"""Format rows of weights as a table of at most 100 columns, or wider for results from online services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungfish.workflows.weights.rows import WeightsRow

COLUMNS = 100
LEGEND = """

*: on this machine. Top-1: percent of ImageNet's validation images, as published.
!: needs --accept-license. Unknown: the publisher states no license for the weights."""
REPOSITORIES = """
github.com: find the weights file and its license there, then run
lungfish weights fetch git+https://github.com/OWNER/REPO@COMMIT#PATH with the commit that git ls-remote prints."""


def row_table(rows: Sequence[WeightsRow]) -> str:
    """Return the table with a legend. Names are never cut, so that they can be copied; sources may be."""
    from lungfish.core.columns import table
    from lungfish.core.names import printable

    online = any(row.next_command for row in rows)
    columns = ("stars", "updated", "source", "next") if online else ("source",)
    lines = [["", "name", "license", "M params", "top-1", *columns]]
    for row in rows:
        service = ["" if row.stars is None else f"{row.stars:,}", printable(row.updated)] if online else []
        params = "" if row.params is None else f"{row.params / 1e6:.2f}"
        top1 = "" if row.top1 is None else f"{row.top1:.1f}"
        mark = "*" if row.cached else ""
        name, license_id, source = map(printable, (row.name, _license(row.license), row.source))
        command = [printable(row.next_command)] if online else []
        lines.append([mark, name, license_id, params, top1, *service, source, *command])
    if online:
        has_repository = any(row.next_command.startswith("git ") for row in rows)
        return table(lines, left=(0, 1, 2, 7, 8)) + LEGEND + (REPOSITORIES if has_repository else "")
    return "\n".join(map(_cut, table(lines, left=(0, 1, 2, 5)).splitlines())) + LEGEND


def _license(license_id: str) -> str:
    from lungfish.weights.license import is_permissive
    from lungfish.workflows.weights.rows import is_unknown

    if is_unknown(license_id):
        return "unknown !"
    return license_id if is_permissive(license_id) else f"{license_id} !"


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else f"{line[: COLUMNS - 3]}..."
