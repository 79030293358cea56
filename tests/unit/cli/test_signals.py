"""A signal ends a command in seconds, though a kernel of onnxruntime never returns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lungfish.cli import app

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")

# The command line with a short grace, whose bundles are not checked: theirs is an endless loop. What it says when the
# loop is about to run, it says on stderr.
PROGRAM = """
import os
import sys
from lungfish.cli import signals
from lungfish.runtime import bundle
from lungfish.runtime.engines.onnx.engine import OnnxEngine

signals.GRACE_SECONDS = float(sys.argv.pop(1))

class Trusting(OnnxEngine):
    def _run(self, pixels):
        os.write(2, b"computing\\n")  # in one piece: several threads compute
        return super()._run(pixels)

bundle.open_engine = lambda files, format_name, threads: Trusting(files.main, threads, trusted=True)
from lungfish.cli.app import main
main()
"""
CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}


@pytest.fixture
def endless_bundle(color_model: Callable[..., Any], write_color_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle whose graph never ends."""
    model = color_model()
    kinds = {"i": (TensorProto.INT64, []), "go": (TensorProto.BOOL, []), "x": (TensorProto.FLOAT, None)}
    inputs = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info(f"{name}_out", *kinds[name]) for name in ("go", "x")]
    steps = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("go", "x")]
    body = helper.make_graph(steps, "body", inputs, outputs)
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    model.graph.node[2].input[0] = "looped"
    model.graph.node.insert(2, helper.make_node("Loop", ["", "true", "pixels"], ["looped"], body=body))
    return write_color_bundle(tmp_path / "endless", models={"model.onnx": model.SerializeToString()})


@pytest.mark.parametrize(
    ("command", "watched"),
    [("predict", True), ("evaluate", True), ("explain", True), ("train", False), ("--help", False)],
)
def test_what_is_watched(command: str, watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training saves what it has before it stops, which may take longer."""
    calls: list[Mapping[int, int]] = []
    monkeypatch.setattr(app, "end_soon_after_signals", calls.append)
    monkeypatch.setattr(app, "run", lambda _: 0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["lungfish", command])
    with pytest.raises(SystemExit):
        app.main()
    assert calls == ([CODES] if watched else [])


@pytest.mark.parametrize(
    ("command", "number"),
    [("predict", signal.SIGTERM), ("predict", signal.SIGINT), ("evaluate", signal.SIGINT)],
)
def test_a_signal_ends_it(
    command: str, number: signal.Signals, endless_bundle: Path, color_photos: Path, tmp_path: Path
) -> None:
    photos = color_photos if command == "evaluate" else color_photos / "red" / "0.png"
    arguments = [sys.executable, "-c", PROGRAM, "0.2", command, str(endless_bundle), str(photos)]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, cwd=tmp_path, text=True, env=os.environ)
    try:
        assert process.stderr
        for line in process.stderr:
            if line == "computing\n":
                break
        process.send_signal(number)
        assert process.wait(20) == CODES[number]
        said = process.stderr.read().replace("computing\n", "")  # by another thread
        assert said == "stopped: still running 0.2 s after the signal\n"
    finally:
        process.kill()
        process.communicate()
