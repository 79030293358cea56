"""The formats that can be written: a new one is a row here, and one in `runtime.engines.table`, which runs it."""

from __future__ import annotations

from collections.abc import Iterable

from lungfish.exporters.exporter import Exporter
from lungfish.exporters.onnx_graph import OnnxExporter
from lungfish.runtime.engines.table import ENGINES

EXPORTERS: dict[str, Exporter] = {"onnx": OnnxExporter()}
DEFAULT_FORMAT = "onnx"  # of the floats that every other artifact is held against


def format_packages(formats: Iterable[str]) -> set[str]:
    """The packages that write and run artifacts of these formats."""
    return {package for name in formats for package in (*EXPORTERS[name].packages, ENGINES[name].package)}
