"""Print the comparison of two bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungfish.runtime.artifact import Latency
    from lungfish.workflows.bundle_comparison import BundleComparison, BundleRow


def print_comparison(comparison: BundleComparison) -> None:
    """Print two bundles as tables."""
    from lungfish.cli.output import warn
    from lungfish.cli.what_changed import what_changed_lines
    from lungfish.core.columns import table
    from lungfish.core.names import plural, printable

    heads = ["", "bundle", "artifact", "network", "px", "classes", "MB", "p50 ms", "p95 ms", "own test photos"]
    rows = [heads, ["old", *_cells(comparison.old)], ["new", *_cells(comparison.new)]]
    print(table(rows, left=(0, 1, 2, 3, 9)))
    print(f"\n{measured_with(comparison.new.latency_ms, ())}")
    if note := _about_own_photos(comparison.same_test_photos):
        print(note)
    print()
    for name, labels in (("shared", comparison.shared), ("added", comparison.added), ("removed", comparison.removed)):
        listed = f": {', '.join(map(printable, labels))}" if labels else ""
        print(f"{plural(len(labels), 'class', 'classes')} {name}{listed}")
    if comparison.what_changed:
        print(f"\n{what_changed_lines(comparison.what_changed)}\nsplit: {comparison.split}")
    else:
        print("\nadd --photos PHOTOS to see which is better on the same photos")
    for skipped in comparison.skipped:
        warn(f"skipped {printable(skipped.file)}: {skipped.reason}")
    for warning in comparison.warnings:
        warn(f"warning: {printable(warning)}")


def _cells(row: BundleRow) -> list[str]:
    from lungfish.core.names import printable

    tested = "not recorded"
    if row.test_top1 is not None:
        interval = f" ({row.test_ci95[0]:.3f} to {row.test_ci95[1]:.3f})" if row.test_ci95 else ""
        tested = f"{row.test_top1:.4f}{interval} of {row.test_photos:,}"
    return [
        printable(row.bundle),
        printable(row.file),
        printable(row.arch),
        str(row.resolution_px),
        f"{row.classes:,}",
        f"{row.bytes / 1e6:.1f}",
        f"{row.latency_ms.p50:.1f}",
        f"{row.latency_ms.p95:.1f}",
        tested,
    ]


def _about_own_photos(same: bool | None) -> str:
    """Explain what the recorded test figures mean for the comparison."""
    if same is None:
        return (
            "own test photos: top-1 when each was trained; not every bundle lists its photos, so do not compare these"
        )
    if same:
        return "own test photos: top-1 when each was trained, on the same photos"
    return "own test photos: top-1 when each was trained, on different photos, so do not compare these"


def measured_with(timed: Latency, others: tuple[str, ...]) -> str:
    """Describe how latencies were measured.

    Args:
        timed: One of the latencies.
        others: Packages that built the networks, to be listed with their versions.
    """
    from lungfish.core.names import plural
    from lungfish.runtime.measure import machine, versions

    here, packages = machine(), versions(others)
    software = ", ".join([timed.runtime, *(f"{name} {version}" for name, version in packages.items())])
    system, *_, processor = here["os"].split()
    hardware = f"{here['cpu']}, {plural(here['cores'], 'core')}, {system} {processor}"
    return f"latency: batch 1, pixels to probabilities, {plural(timed.threads, 'thread')}; {software}; {hardware}"
