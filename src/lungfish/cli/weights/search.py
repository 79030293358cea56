"""Define the command `lungfish weights search`."""

from __future__ import annotations

from typing import Annotated

import typer


def search(
    words: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="Words in the network, source, training data or license.")
    ],
    online: Annotated[bool, typer.Option("--online", help="Also search the Hugging Face hub and GitHub.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search weights; every word must occur."""
    from lungfish.cli.output import print_json, warn
    from lungfish.cli.weights.row_table import row_table
    from lungfish.core.names import printable
    from lungfish.workflows.weights.search import search_catalogue

    text = " ".join(words)
    if online:
        from lungfish.workflows.weights.search_online import search_online

        found = search_online(text)
        rows = found.rows
        for warning in found.warnings:
            warn(printable(warning))
    else:
        rows = search_catalogue(text)
    if json:
        print_json([row.to_json() for row in rows])
    elif rows:
        print(row_table(rows))
    else:
        warn("nothing found; lungfish weights list shows all weights")
