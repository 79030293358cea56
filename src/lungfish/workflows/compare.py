"""Compare networks: parameters, multiply-adds, memory, and latency on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lungfish.architecture import Arch, ArchLike, Flavour, to_arch
from lungfish.architecture.foreign import is_in_torchvision
from lungfish.architecture.published import YARDSTICK, Published, published_figures
from lungfish.core.columns import table
from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.costs import Cost, cost
from lungfish.pictures import Marked, accuracy_picture, check_picture_file, write_picture
from lungfish.runtime.artifact import Latency
from lungfish.runtime.engines.engine import Engine
from lungfish.workflows.yardstick import Yardstick, open_yardstick, yardstick_engine

MOST_THREADS = 1024


@dataclass(frozen=True)
class ComparedRow:
    """One network.

    Args:
        name: Name as requested.
        params: Number of parameters.
        macs: Number of multiply-adds.
        resolution_px: Side of the square input.
        peak_activation_bytes: Peak memory of the activations, fp32; None for a yardstick, which is not lowered.
        published: Published figures, if any.
        latency_ms: Latency measured here, at batch 1, from pixels to probabilities; None if not requested.
    """

    name: str
    params: int
    macs: int
    resolution_px: int
    peak_activation_bytes: int | None
    published: Published | None
    latency_ms: Latency | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "params": self.params,
            "macs": self.macs,
            "peak_activation_bytes": self.peak_activation_bytes,
            "latency_ms": asdict(self.latency_ms) if self.latency_ms else None,
        }


class ComparedRows(tuple[ComparedRow, ...]):
    """Compared networks. They print as a table."""

    def __repr__(self) -> str:
        timed = any(row.latency_ms for row in self)
        lines = [["network", "px", "M params", "M MACs", "peak MB", "top-1", *(["p50 ms", "p95 ms"] if timed else [])]]
        for row in self:
            peak = "-" if row.peak_activation_bytes is None else f"{row.peak_activation_bytes / 1e6:.2f}"
            top1 = f"{row.published.top1:.1f}" if row.published else "-"
            figures = [str(row.resolution_px), f"{row.params / 1e6:.2f}", f"{row.macs / 1e6:,.1f}", peak, top1]
            if row.latency_ms:
                figures += [f"{row.latency_ms.p50:.1f}", f"{row.latency_ms.p95:.1f}"]
            lines.append([printable(row.name), *figures])
        caption = "peak: largest activations in memory at once, fp32; top-1: percent on ImageNet, as published"
        return f"{table(lines)}\n\n{caption}"


@dataclass(frozen=True)
class Timing:
    """How to measure latency.

    Args:
        threads: Threads of the runtime; as many as physical cores if None.
        seconds: Approximate measuring time for each network.
    """

    threads: int | None = None
    seconds: float = 1.5

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise UsageError(f"threads is {self.threads}; it must be a whole number from 1 to {MOST_THREADS}")


def compare_networks(*networks: ArchLike, latency: bool = False, threads: int | None = None) -> ComparedRows:
    """Compare networks: parameters, multiply-adds, memory, published accuracy, and optionally latency.

    Args:
        *networks: Architecture names or JSON files, `Arch` objects, networks, or `torchvision:NAME` for any of its
            classifiers.
        latency: Whether to time them on this machine, at batch 1, from pixels to probabilities.
        threads: Threads of the runtime; as many as physical cores if None.

    Returns:
        One row for each network. They print as a table.

    Raises:
        UsageError: There is nothing to compare, or a name is not a network.
        MachineError: A package that a yardstick or latency requires is not installed.

    Example:
        >>> import lungfish as lf
        >>> rows = lf.compare("mobilenet_v2", lf.arch("mobilenet_v2").scale(width=0.5))
        >>> [round(row.macs / 1e6) for row in rows]
        [301, 97]
    """
    if not networks:
        raise UsageError("nothing to compare", "For example lungfish.compare('mobilenet_v2', 'efficientnet_b0').")
    return compare(networks, Timing(threads) if latency else None)


def compare(
    names: Sequence[ArchLike], timing: Timing | None = None, plot: Path | None = None, progress: Progress | None = None
) -> ComparedRows:
    """Count the costs of networks; on request, measure their latency and plot them among published ones.

    Args:
        names: Architecture names or JSON files, `torchvision:NAME` for any of its classifiers, `Arch` objects or
            networks.
        timing: How to measure latency; None to skip it.
        plot: An .svg or .png file to write, with accuracy against multiply-adds.
        progress: Receives progress events.

    Raises:
        UsageError: A name is not a network, or `plot` is not a picture's file name.
        MachineError: A package that a yardstick, latency or the picture requires is not installed, or the picture
            cannot be written.

    Example:
        for row in compare(["mobilenet_v2", "efficientnet_b0"], Timing()):
            print(row.name, row.macs, row.latency_ms)
    """
    picture = check_picture_file(plot) if plot else None
    networks = [_find(name) for name in names]
    rows = ComparedRows(_count(network) for network in networks)
    if picture:
        marked = [Marked(row.name, row.macs, row.published.top1 if row.published else None) for row in rows]
        write_picture(accuracy_picture(marked), picture)
    return rows if timing is None else _timed(networks, rows, timing, progress or Progress())


def _find(network: ArchLike) -> Arch | Yardstick:
    if isinstance(network, str) and network.startswith(YARDSTICK):
        return open_yardstick(network)
    try:
        return to_arch(network)
    except UnknownNameError as error:
        if not (isinstance(network, str) and is_in_torchvision(network)):
            raise
        hint = f"{error.hint} To compare with torchvision's: {YARDSTICK}{printable(network)}"
        raise UnknownNameError(error.message, hint) from None


def _timed(
    networks: Sequence[Arch | Yardstick], rows: Sequence[ComparedRow], timing: Timing, progress: Progress
) -> ComparedRows:
    from lungfish.runtime.measure import latencies

    engines = []
    with progress.task("Building networks", len(networks)) as advance:
        for network in networks:
            if isinstance(network, Yardstick):
                engines.append(yardstick_engine(network, timing.threads))
            else:
                engines.append(_arch_engine(network, timing.threads))
            advance(1)
    measured = latencies(engines, timing.seconds)
    return ComparedRows(replace(row, latency_ms=latency) for row, latency in zip(rows, measured, strict=True))


def _count(network: Arch | Yardstick) -> ComparedRow:
    line = published_figures(network.name if isinstance(network, Yardstick) else network)
    counted = network if isinstance(network, Yardstick) else cost(network)
    peak = counted.peak_activation_bytes if isinstance(counted, Cost) else None
    return ComparedRow(network.name, counted.params, counted.macs, network.resolution_px, peak, line)


def _arch_engine(arch: Arch, threads: int | None) -> Engine:
    """Open the network as a bundle would contain it, with random weights, which take as long as trained ones."""
    from lungfish.exporters.artifact import write_artifact
    from lungfish.exporters.exporter import Exportable, GraphSpec
    from lungfish.nn import build

    if arch.in_channels != 3:
        raise UsageError(
            f"{arch.name} takes {arch.in_channels} channels; latency is measured on RGB images, which have 3"
        )
    state = {name: tensor.numpy() for name, tensor in build(arch, seed=0).state_dict().items()}
    middle = (127.5, 127.5, 127.5)
    with TemporaryDirectory() as folder:
        return write_artifact(Exportable(arch, Flavour(), state, GraphSpec(middle, middle)), Path(folder)).open(threads)
