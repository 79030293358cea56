"""The page of a parity run: its tables, and the fingerprint of what it proved."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from .fingerprint import fingerprint, pinned_versions

INTRODUCTION = """# Parity: the same numbers as torchvision, timm, Keras and TensorFlow

Written by `make parity`; every figure was measured in that run. Each reference network has random weights, random
scales and shifts, and batch-norm statistics from one pass in training mode. Its weights are converted, both networks
see the same random and real pictures, and the largest difference of a logit is divided by the spread of the logits
(their standard deviation over the batch). Keras is compared in float32, the others in float64. In training
mode loss, gradients and batch-norm updates are compared, each relative to the largest value of its tensor. The exported
graph runs in ONNX Runtime, in float32.

Zero means the same bits: both networks call the same kernels of torch in the same order. That the comparison can fail
is shown by the planted errors of the second table, a wrong epsilon and a wrong padding, which it refused.

The fingerprint is that of the code, tests and versions that were compared (`tests/parity/fingerprint.py`). CI runs the
whole comparison again when it has changed.
"""


class Page:
    """A plugin of pytest that writes the page, if the run was complete and passed.

    Args:
        path: Where to write it.
        arguments: The files and folders that pytest was asked to run.
    """

    def __init__(self, path: Path, arguments: list[str]) -> None:
        self.path, self.arguments = path, arguments
        self.fingerprint = fingerprint()  # before anything runs: sources may be edited meanwhile
        self.skipped = self.deselected = 0
        self.outcome = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.skipped += report.skipped

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.deselected += len(items)

    def write(self, lines: list[str], exitstatus: int) -> None:
        """Write the page, or keep the old one; `outcome` says which, and why."""
        why = "; ".join(self._objections(exitstatus))
        self.outcome = f"{self.path} not written: {why}" if why else f"{self.path} written"
        if not why:
            python = f"Python {platform.python_version()}"
            packages = ", ".join([python, *(f"{name} {pinned}" for name, pinned in pinned_versions().items())])
            text = [INTRODUCTION, f"{packages}.", "", f"Fingerprint: `{self.fingerprint}`", "", *lines, ""]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text("\n".join(text), encoding="utf-8")

    def _objections(self, exitstatus: int) -> list[str]:
        """Return what keeps this run from proving everything."""
        whole = [str(Path(__file__).parent)] == [str(Path(each).resolve()) for each in self.arguments]
        other = [name for name, pinned in pinned_versions().items() if _installed(name) != pinned]
        objections = {
            "tests failed": exitstatus != 0,
            f"{self.skipped} tests were skipped": self.skipped,
            f"{self.deselected} tests were deselected": self.deselected,
            "only a part of tests/parity was run": not whole,
            f"installed versions differ from constraints.txt: {', '.join(other)}": other,
            "sources changed during the run": fingerprint() != self.fingerprint,
        }
        return [objection for objection, holds in objections.items() if holds]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
