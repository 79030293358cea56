"""Define the command `lungfish weights list`."""

from __future__ import annotations

from typing import Annotated

import typer


def list_weights(
    arch: Annotated[str | None, typer.Option(help="Only weights that fit this network, at any resolution.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the known pretrained weights.

    Those with permissive licenses come first.
    """
    from lungfish.cli.output import print_json
    from lungfish.cli.weights.row_table import row_table
    from lungfish.workflows.weights.list import list_weights as workflow

    rows = workflow(arch)
    if json:
        print_json([row.to_json() for row in rows])
    else:
        print(row_table(rows))
