"""ONNX Runtime has telemetry, and on import stores an identifier of the device in the user's cache: not in Lungfish."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def written_by(arguments: list[object], home: Path) -> list[str]:
    """Run Python for a user whose home is empty; return what is in it afterwards, Lungfish's own cache excepted."""
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    folders = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "XDG_DATA_HOME": home / "data", "LOCALAPPDATA": home}
    environment |= {name: str(folder) for name, folder in folders.items()}
    subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True, env=environment)
    return [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]


def test_predict_stores_nothing_about_the_user(color_bundle: Path, color_photos: Path, tmp_path: Path) -> None:
    predict = ["-m", "lungfish", "predict", color_bundle, color_photos / "red" / "0.png"]
    assert written_by(predict, tmp_path / "home") == []


def test_nor_does_the_rounding_of_weights(tmp_path: Path) -> None:
    """It opens sessions of its own."""
    code = "import lungfish.quantization.weight_rounding, onnxruntime"
    assert written_by(["-c", code], tmp_path / "home") == []


def test_it_would_be_seen(tmp_path: Path) -> None:
    written = written_by(["-c", "import onnxruntime"], tmp_path / "home")
    if not written:
        pytest.skip("this build of ONNX Runtime has no telemetry")
    assert any("onnxruntime" in name for name in written)
