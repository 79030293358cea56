"""The formats that artifacts can have, and how each is run: a new one is a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from lungfish.core.errors import UsageError
from lungfish.core.names import printable
from lungfish.runtime.engines.engine import Engine, ModelFiles
from lungfish.runtime.engines.onnx.engine import onnx_devices, open_onnx


@dataclass(frozen=True)
class EngineRow:
    """How one format is run.

    Args:
        package: What computes; imported when something is opened.
        open: Parses files that may come from anyone, checked against their hashes; takes the number of threads, by
            default one for each physical core.
        devices: Tries the package and returns the devices that it has here; whatever goes wrong is raised.
    """

    package: str
    open: Callable[[ModelFiles, int | None], Engine]
    devices: Callable[[], list[str]]


ENGINES = {"onnx": EngineRow("onnxruntime", open_onnx, onnx_devices)}


def runnable_formats() -> tuple[str, ...]:
    """The formats whose engines are installed."""
    return tuple(name for name, row in ENGINES.items() if find_spec(row.package))


def open_engine(files: ModelFiles, format_name: str, threads: int | None = None) -> Engine:
    """Open an artifact.

    Args:
        files: All its files.
        format_name: As the bundle names it.
        threads: Threads that compute one run; by default one for each physical core.

    Raises:
        UsageError: A format that this version does not run.
        BundleError: The files are not of that format, or break the contract of a bundle's models.
        MachineError: The engine does not work here.
    """
    if format_name not in ENGINES:
        runnable = ", ".join(runnable_formats())
        raise UsageError(
            f"{files.name} has the format {printable(format_name)}; this installation runs {runnable}",
            "Choose another artifact of the bundle, or upgrade: pip install --upgrade lungfish",
        )
    return ENGINES[format_name].open(files, threads)
