"""Define the command `lungfish explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A photo.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PNG file to write.  [default: ./NAME.explained.png]"),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Class to explain.  [default: the predicted one]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show which parts of a photo support a class.

    Prints the file and the default artifact's label and probability, separated by tabs. The picture is a class
    activation map, for that label or for --label, of the float network that the artifact was made from.
    """
    from lungfish.cli.output import print_json, warn
    from lungfish.core.names import printable
    from lungfish.workflows import explain as workflow

    explained = workflow.explain(bundle, image, out, label)
    warn(f"written: {printable(explained.picture)}")
    if json:
        print_json(explained.to_json())
    else:
        print(f"{printable(explained.file)}\t{printable(explained.label)}\t{explained.probability:.4f}")
