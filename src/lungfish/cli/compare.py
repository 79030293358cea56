"""Define the command `lungfish compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lungfish.cli.compared_bundles import measured_with, print_comparison

if TYPE_CHECKING:
    from lungfish.workflows.compare import ComparedRow


def compare(  # noqa: PLR0913  one parameter for each option
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="OLD NEW | ARCH...",
            help="Two bundles' folders; or architectures' names, JSON files, or torchvision:NAME to measure them by.",
        ),
    ],
    photos: Annotated[
        str | None, typer.Option(metavar="PHOTOS", help="Two bundles: labelled photos for both to answer.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, val, test or all.  [default: test if the photos come with splits, else all]"),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also follow links that lead outside the folder of the photos.")
    ] = False,
    latency: Annotated[
        bool, typer.Option("--latency", help="Architectures: time them on this machine, batch 1. Bundles always are.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime.  [default: as many as physical cores]")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Architectures: draw accuracy against multiply-adds: .svg or .png."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Put two bundles, or networks, side by side.

    Bundles: classes, size, latency, and with --photos which of the two is better, on photos that neither was trained
    on. Networks: parameters, multiply-adds, memory, latency.
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
            raise UsageError("--plot draws architectures, not bundles", "Leave --plot out.")
        if photos is None and (split or follow_links):
            raise UsageError("--split and --follow-links are about photos, and none are given", "Add --photos PHOTOS.")
        source = LabelledSource(photos, split, follow_links) if photos is not None else None
        comparison = compare_bundles(names[0], names[1], source, timing, for_stderr())
        print_json(comparison.to_json()) if json else print_comparison(comparison)
        return
    if photos is not None or split or follow_links:
        raise UsageError(
            f"--photos, --split and --follow-links compare bundles; {printable(names[0])} is none",
            "Give the folders of two bundles: lungfish compare OLD NEW --photos PHOTOS",
        )
    rows = workflow.compare(names, timing if latency else None, plot, for_stderr())
    if plot:
        warn(f"drawn: {printable(str(plot))}")
    if json:
        print_json([row.to_json() for row in rows])
    else:
        _print(rows)


def _print(rows: Sequence[ComparedRow]) -> None:
    from lungfish.cli.output import table
    from lungfish.core.names import printable

    timed = rows[0].latency_ms
    lines = [["network", "px", "M params", "M MACs", "peak MB", "top-1", *(["p50 ms", "p95 ms"] if timed else [])]]
    for row in rows:
        peak = "-" if row.peak_activation_bytes is None else f"{row.peak_activation_bytes / 1e6:.2f}"
        top1 = f"{row.published.top1:.1f}" if row.published else "-"
        figures = [str(row.resolution_px), f"{row.params / 1e6:.2f}", f"{row.macs / 1e6:,.1f}", peak, top1]
        if row.latency_ms:
            figures += [f"{row.latency_ms.p50:.1f}", f"{row.latency_ms.p95:.1f}"]
        lines.append([printable(row.name), *figures])
    print(table(lines))
    print("\npeak: most activations held at once, fp32; top-1: percent on ImageNet, as published")
    if timed:
        print(measured_with(timed, ("torch", "torchvision")))
