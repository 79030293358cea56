"""Check the requirements of `lungfish evaluate`. A missed gate ends the command with exit code 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lungfish.core.errors import UsageError
from lungfish.core.names import plural, printable
from lungfish.evaluation.class_gate import LEAST_LOST, failure, unjudged_classes, worse_classes
from lungfish.evaluation.metrics import Metrics
from lungfish.workflows.baseline import Baseline


@dataclass(frozen=True)
class Gates:
    """What the default artifact must reach.

    Args:
        min_top1: Lowest top-1 that passes, 0 to 1.
        baseline: Bundle whose default artifact must not do better on the same photos.
        no_class_worse: Whether every class must do at least as well as with the baseline; see
            `lungfish.evaluation.class_gate`.
    """

    min_top1: float | None = None
    baseline: str | Path | None = None
    no_class_worse: bool = False

    def __post_init__(self) -> None:
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 1:
            raise UsageError(f"--min-top1 is {self.min_top1}; it must be a share from 0 to 1", "Write 0.9 for 90 %.")
        if self.no_class_worse and self.baseline is None:
            raise UsageError("--no-class-worse needs a baseline", "Add --baseline BUNDLE.")


def missed_gates(gates: Gates, mine: Metrics, baseline: Baseline | None) -> Iterator[str]:
    """Yield the missed gates, in words.

    Args:
        gates: The gates.
        mine: Figures of the default artifact on all photos.
        baseline: Comparison with the baseline, or None.

    Raises:
        UsageError: `no_class_worse` is set, and no photo is new to both bundles.
    """
    top1 = mine.top1
    if gates.min_top1 is not None and top1 < gates.min_top1:
        yield f"top-1 is {top1:.4f}; at least {gates.min_top1:.4f} is required"
    if baseline is None:
        return
    if baseline.own.top1 < baseline.metrics.metrics.top1:
        on = "" if baseline.own.n == mine.n else f" on the {plural(baseline.own.n, 'photo')} of shared classes"
        yield f"top-1{on} is {baseline.own.top1:.4f}; the baseline has {baseline.metrics.metrics.top1:.4f}"
    if gates.no_class_worse:
        if not baseline.changed.overall.n:
            raise UsageError(
                "no class can be judged: no photo is new to both bundles",
                "Give photos that are new to both, or leave out --no-class-worse.",
            )
        yield from (printable(failure(row)) for row in worse_classes(baseline.changed))


def gate_warnings(gates: Gates, baseline: Baseline | None) -> Iterator[str]:
    """Yield a warning about classes that pass `no_class_worse` only because they have too few photos."""
    unjudged = unjudged_classes(baseline.changed) if gates.no_class_worse and baseline else ()
    if unjudged:
        named = ", ".join(f"{printable(row.label)} ({row.pairs.n})" for row in unjudged)
        yield f"--no-class-worse cannot judge classes with under {LEAST_LOST} photos new to both bundles: {named}"
