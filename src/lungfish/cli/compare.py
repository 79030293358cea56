"""`lungfish compare`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.runtime.artifact import Latency
    from lungfish.workflows.compare import ComparedRow


def compare(
    archs: Annotated[
        list[str],
        typer.Argument(metavar="ARCH...", help="Names, JSON files, or torchvision:NAME to measure them by."),
    ],
    latency: Annotated[bool, typer.Option("--latency", help="Time them on this machine, batch 1.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the runtime.  [default: as many as physical cores]")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw accuracy against multiply-adds: .svg or .png.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Put networks side by side."""
    from lungfish.cli.output import print_json, warn
    from lungfish.core.names import printable
    from lungfish.core.progress import for_stderr
    from lungfish.workflows import compare as workflow

    rows = workflow.compare(archs, workflow.Timing(threads) if latency else None, plot, for_stderr())
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
        print(_measured_with(timed))


def _measured_with(timed: Latency) -> str:
    from lungfish.core.names import plural
    from lungfish.runtime.measure import machine, versions

    here, packages = machine(), versions(("torch", "torchvision"))
    software = ", ".join([timed.runtime, *(f"{name} {version}" for name, version in packages.items())])
    system, *_, processor = here["os"].split()
    hardware = f"{here['cpu']}, {plural(here['cores'], 'core')}, {system} {processor}"
    return f"latency: batch 1, pixels to probabilities, {plural(timed.threads, 'thread')}; {software}; {hardware}"
