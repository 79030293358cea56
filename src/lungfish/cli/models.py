"""Define the command `lungfish models`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lungfish.workflows.models import ModelRow


def models(json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> None:
    """List the families and variants with published figures."""
    from lungfish.cli.output import print_json
    from lungfish.workflows.models import models as list_models

    rows = list_models()
    if json:
        print_json([row.to_json() for row in rows])
    else:
        _print(rows)


def _print(rows: Sequence[ModelRow]) -> None:
    from lungfish.core.columns import table

    lines = [["network", "px", "M params", "M MACs", "top-1", "published in"]]
    for row in rows:
        line = row.published
        top1, source = (f"{line.top1:.1f}", line.source) if line else ("-", "")
        figures = [str(row.resolution_px), f"{row.params / 1e6:.2f}", f"{row.macs / 1e6:,.1f}"]
        lines.append([row.name, *figures, top1, source])
    print(table(lines, left=(0, 5)))
    print(
        "\nParameters and multiply-adds are counted; top-1 is in percent of ImageNet's validation images, as published."
    )
    print("Each can be scaled: mobilenet_v2:width=0.6,resolution=176 or efficientnet_b0:phi=0.5. See lungfish scale.")
