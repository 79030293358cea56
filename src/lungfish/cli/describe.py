"""Define the command `lungfish describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.costs import Layer
    from lungfish.workflows.describe import Description


def describe(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help="Name of a network, or an architecture's JSON file.")],
    layers: Annotated[bool, typer.Option("--layers", help="List every layer.")] = False,
    precision: Annotated[str, typer.Option(help="Precision for the sizes in bytes: fp32, fp16 or int8.")] = "fp32",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the network and one of its blocks to a .svg or .png.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show a network's layers and what they cost."""
    from lungfish.cli.output import print_json, warn
    from lungfish.core.names import printable
    from lungfish.workflows import describe as workflow

    description = workflow.describe(arch, precision, plot)  # type: ignore[arg-type]  # `cost` checks it
    if plot:
        warn(f"drawn: {printable(str(plot))}")
    if json:
        print_json(description.to_json())
    else:
        _print(description, layers=layers)


def _print(description: Description, *, layers: bool) -> None:
    from lungfish.core.columns import table

    print(description)
    if layers:
        print("\n" + table(_layer_rows(description), left=(0, 1)))


def _layer_rows(description: Description) -> list[list[str]]:
    rows = [["layer", "operation", "in", "out", "parameters", "multiply-adds", "per byte"]]
    for layer in description.cost.layers:
        intensity = f"{layer.macs / layer.moved_bytes:.1f}" if layer.macs else ""
        shapes = [" x ".join(map(str, shape)) for shape in (layer.in_shape, layer.out_shape)]
        figures = [f"{layer.params:,}" if layer.params else "", f"{layer.macs:,}" if layer.macs else ""]
        rows.append([layer.name, _operation(layer), *shapes, *figures, intensity])
    return rows


def _operation(layer: Layer) -> str:
    if layer.op != "conv":
        return layer.op
    kind = "depthwise" if layer.groups > 1 else "conv"
    return f"{kind} {layer.kernel}x{layer.kernel}" + (f" /{layer.stride}" if layer.stride > 1 else "")
