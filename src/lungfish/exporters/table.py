"""The formats that can be written. To add one, add a row here, and one in `runtime.engines.table` to run it."""

from __future__ import annotations

from collections.abc import Iterable

from lungfish.exporters.exporter import Exporter
from lungfish.exporters.onnx_graph import OnnxExporter
from lungfish.runtime.engines.table import ENGINES

EXPORTERS: dict[str, Exporter] = {"onnx": OnnxExporter()}
DEFAULT_FORMAT = "onnx"  # format of the FP32 artifact that all others are compared with


def format_packages(formats: Iterable[str]) -> set[str]:
    """Return the packages that write and run artifacts of these formats."""
    return {package for name in formats for package in (*EXPORTERS[name].packages, ENGINES[name].package)}
