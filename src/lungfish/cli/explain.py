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
        typer.Option(metavar="FILE", help="Where the picture goes, a .png.  [default: ./NAME.explained.png]"),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Class to mark.  [default: the answer]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Draw where on a photo a class is found.

    Prints file, label and probability, separated by tabs, as the bundle's default artifact answers. The picture marks
    what speaks for that label, or for another one, by Grad-CAM of the float network that the artifact was made from.
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
