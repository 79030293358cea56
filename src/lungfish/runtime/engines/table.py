"""The formats of artifacts and their engines. To add a format, add a row here."""

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
    """The engine of one format.

    Args:
        package: Package that the engine needs, imported when an artifact is opened.
        open: Function that opens untrusted files whose hashes were checked, with a number of threads; None means one
            thread for each physical core.
        devices: Function that tests the package and returns its devices; errors are not caught.
    """

    package: str
    open: Callable[[ModelFiles, int | None], Engine]
    devices: Callable[[], list[str]]


ENGINES = {"onnx": EngineRow("onnxruntime", open_onnx, onnx_devices)}


def runnable_formats() -> tuple[str, ...]:
    """Return the formats whose engines are installed."""
    return tuple(name for name, row in ENGINES.items() if find_spec(row.package))


def open_engine(files: ModelFiles, format_name: str, threads: int | None = None) -> Engine:
    """Open an artifact.

    Args:
        files: All files of the artifact.
        format_name: Format in the manifest.
        threads: Threads that compute one run; by default one for each physical core.

    Raises:
        UsageError: This version does not run the format.
        BundleError: The files are not of that format, or break the contract for models in bundles.
        MachineError: The engine does not work on this machine.
    """
    if format_name not in ENGINES:
        runnable = ", ".join(runnable_formats())
        raise UsageError(
            f"{files.name} has the format {printable(format_name)}; this installation runs {runnable}",
            "Choose another artifact of the bundle, or upgrade: pip install --upgrade lungfish",
        )
    return ENGINES[format_name].open(files, threads)
