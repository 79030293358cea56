"""Define the command `lungfish weights licenses`."""

from __future__ import annotations

from typing import Annotated

import typer


def licenses(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Print the attributions that must ship with a bundle."""
    from lungfish.cli.output import print_json
    from lungfish.core.names import printable
    from lungfish.workflows.weights.licenses import licenses as workflow

    attribution = workflow(bundle)
    if json:
        print_json(attribution.to_json())
    else:
        print("\n".join(map(printable, attribution.notice.splitlines())))
