"""Define the command `lungfish weights prune`."""

from __future__ import annotations

from typing import Annotated

import typer


def prune(
    everything: Annotated[bool, typer.Option("--all", help="Delete all fetched weights.")] = False,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Delete weights that were not used for this many days.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Delete fetched weights.

    Without options, delete only unfinished downloads and files that no weights need.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.names import plural
    from lungfish.workflows.weights import prune as workflow

    pruned = workflow.prune(everything=everything, older_than_days=older_than)
    if json:
        print_json(workflow.to_json(pruned))
        return
    for each in pruned:
        print(each.file)
    print(f"deleted: {plural(len(pruned), 'file')}, {sum(each.bytes for each in pruned) / 1e6:,.1f} MB")
