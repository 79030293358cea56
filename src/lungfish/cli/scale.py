"""Define the command `lungfish scale`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.workflows.scale import Scaled


def scale(  # noqa: PLR0913  one parameter for each option
    arch: Annotated[str, typer.Argument(metavar="ARCH", help="Name of a network, or an architecture's JSON file.")],
    phi: Annotated[
        float | None, typer.Option(help="Compound coefficient: 1, 2, 3 for about 2, 4, 8 times the work.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Width factor.")] = None,
    depth: Annotated[float | None, typer.Option(help="Depth factor.")] = None,
    resolution: Annotated[int | None, typer.Option(metavar="PIXELS", help="Input resolution.")] = None,
    macs: Annotated[
        float | None, typer.Option(help="Target: at most this many multiply-adds, for example 600e6.")
    ] = None,
    params: Annotated[float | None, typer.Option(help="Target: at most this many parameters, for example 5e6.")] = None,
    memory_mb: Annotated[
        float | None, typer.Option(help="Target: peak fp32 activations of at most this many MB.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="What to vary to meet a target: phi, width or resolution.  [default: phi]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the architecture to a .json file that every command accepts."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make a network larger or smaller.

    Give factors, or one target, to get the largest network within it.
    """
    from lungfish.cli.output import print_json, warn
    from lungfish.core.names import printable
    from lungfish.workflows import scale as workflow

    scaling = workflow.Scaling(phi, width, depth, resolution, macs, params, memory_mb, by)
    scaled = workflow.scale(arch, scaling, out)
    if out:
        warn(f"written: {printable(str(out))}")
    if json:
        print_json(scaled.to_json())
    else:
        _print(scaled)


def _print(scaled: Scaled) -> None:
    from lungfish.core.names import printable

    print("\n".join(printable(line) for line in str(scaled.arch).splitlines()))
    print(f"\n{scaled.params:,} parameters, {scaled.macs:,} multiply-adds")
    met = scaled.solution
    if met:
        unit = {"macs": "multiply-adds", "params": "parameters", "memory_bytes": "bytes of activations"}[met.quantity]
        share = met.achieved / met.target
        print(f"{met.by} {met.value:g}: {met.achieved:,} {unit}, {share:.1%} of the target of {met.target:,}")
