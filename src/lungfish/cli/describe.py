"""Define the command `lungfish describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.costs import Layer
    from lungfish.workflows.describe import Description


def describe(
    arch: Annotated[str, typer.Argument(metavar="ARCH", help="A network's name, or an architecture's JSON file.")],
    layers: Annotated[bool, typer.Option("--layers", help="List every layer.")] = False,
    precision: Annotated[str, typer.Option(help="Of the bytes: fp32, fp16 or int8.")] = "fp32",
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the network and one of its blocks: .svg or .png.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Show a network: its table, and what its layers cost."""
    from lungfish.cli.output import print_json, warn
    from lungfish.core.names import printable
    from lungfish.workflows import describe as workflow

    description = workflow.describe(arch, precision, plot)
    if plot:
        warn(f"drawn: {printable(str(plot))}")
    if json:
        print_json(description.to_json())
    else:
        _print(description, layers=layers)


def _print(description: Description, *, layers: bool) -> None:
    from lungfish.cli.output import table
    from lungfish.core.names import printable

    found = description.cost
    print("\n".join(printable(line) for line in str(description.arch).splitlines()))
    rows = [
        ["parameters", f"{found.params:,}"],
        ["multiply-adds", f"{found.macs:,}"],
        ["most activations at once", f"{_mb(found.peak_activation_bytes)} in {found.precision}, at {found.peak_at}"],
        ["the same, expansions streamed", f"{_mb(found.peak_streamed_bytes)} (arXiv:1801.04381, section 5.1)"],
        ["moved", f"{_mb(found.moved_bytes)}; {found.macs_per_byte:.1f} multiply-adds for each byte"],
    ]
    print("\n" + table(rows, left=(0, 1)))
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


def _mb(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"
