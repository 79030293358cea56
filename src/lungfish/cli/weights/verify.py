"""Define the command `lungfish weights verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def verify(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of weights.")],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of images.  [default: four generated ones]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON: a list for several names.")] = False,
) -> int:
    """Compare the network with the library that the weights come from.

    Both get the same file and the same images. Exits with 1 if their outputs differ.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.progress import for_stderr
    from lungfish.workflows.weights.verify import Verified
    from lungfish.workflows.weights.verify import verify as workflow

    def line(row: Verified) -> str:
        top1 = "" if row.top1 is None else f", top-1 {row.top1:.3f}"
        return (
            f"{row.name}: {'equal to' if row.passed else 'DIFFERENT from'} {row.reference} on {row.images:,} pictures: "
            f"max |difference of logits| {row.max_abs_diff:.1e}, the same top class on {row.top1_agreement:.1%}{top1}"
        )

    rows = []
    for name in names:
        rows.append(workflow(name, images, for_stderr()))
        if not json:
            print(line(rows[-1]))
    if json:
        values = [row.to_json() for row in rows]
        print_json(values[0] if len(values) == 1 else values)
    return int(not all(row.passed for row in rows))
