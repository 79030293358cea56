"""Define the command `lungfish slim`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def slim(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A bundle's folder.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder to create.  [default: ./NAME-slim, then -2, -3 ...]"),
    ] = None,
    artifact: Annotated[
        str | None, typer.Option(metavar="FILE", help="Model to copy.  [default: the bundle's default artifact]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Copy what a device needs: bundle.json and one model.

    Prints each file and its size in bytes, separated by a tab. The copy is a bundle too: it predicts, and can be
    evaluated. It contains neither photos nor their names.
    """
    from lungfish.cli.output import print_json, warn
    from lungfish.core.names import printable
    from lungfish.core.progress import for_stderr
    from lungfish.workflows import slim as workflow

    copy = workflow.slim(bundle, out, artifact, for_stderr())
    warn(f"written: {printable(copy.bundle)}")
    if json:
        print_json(copy.to_json())
        return
    for name in copy.files:
        print(f"{printable(name)}\t{(Path(copy.bundle) / name).stat().st_size}")
