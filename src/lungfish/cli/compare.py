"""Define the command `lungfish compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungfish.cli.compared_bundles import measured_with, print_comparison

if TYPE_CHECKING:
    from lungfish.workflows.compare import ComparedRows


def compare(  # noqa: PLR0913  one parameter for each option
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="OLD NEW | ARCH...",
            help="Two bundle folders; or architecture names, JSON files, or torchvision:NAME as a yardstick.",
        ),
    ],
    photos: Annotated[
        str | None, typer.Option(metavar="PHOTOS", help="Bundles: labelled photos to compare their accuracy on.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to use: train, val, test or all.  [default: test if the photos come with splits, else all]"
        ),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also follow links that lead outside the photo folder.")
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Networks: measure latency here, batch 1; always done for bundles.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime.  [default: as many as physical cores]")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Networks: plot accuracy against multiply-adds to a .svg or .png."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare two bundles, or several networks.

    Bundles: classes, size and latency; with --photos also which one is better, on photos that neither was trained on.
    Networks: parameters, multiply-adds, memory and latency.
    """
    from lungfish.cli.output import print_json, warn
    from lungfish.core.errors import UsageError
    from lungfish.core.names import printable
    from lungfish.core.progress import for_stderr
    from lungfish.workflows import compare as workflow
    from lungfish.workflows.compare_bundles import LabelledSource, are_bundles, compare_bundles

    timing = workflow.Timing(threads)
    if are_bundles(names):
        if plot:
            raise UsageError("--plot is for networks, not for bundles", "Leave --plot out.")
        if photos is None and (split or follow_links):
            raise UsageError("--split and --follow-links need photos", "Add --photos PHOTOS.")
        source = LabelledSource(photos, split, follow_links) if photos is not None else None
        comparison = compare_bundles(names[0], names[1], source, timing, for_stderr())
        print_json(comparison.to_json()) if json else print_comparison(comparison)
        return
    if photos is not None or split or follow_links:
        raise UsageError(
            f"--photos, --split and --follow-links are for bundles; {printable(names[0])} is not a bundle",
            "Give the folders of two bundles: lungfish compare OLD NEW --photos PHOTOS",
        )
    rows = workflow.compare(names, timing if latency else None, plot, for_stderr())
    if plot:
        warn(f"drawn: {printable(str(plot))}")
    if json:
        print_json([row.to_json() for row in rows])
    else:
        _print(rows)


def _print(rows: ComparedRows) -> None:
    print(rows)
    if timed := rows[0].latency_ms:
        print(measured_with(timed, ("torch", "torchvision")))
