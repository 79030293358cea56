"""The main job without torch: the same files as with it, and clear errors where it is needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.hashing import sha256_file

Fresh = Callable[..., Any]
MODULES = {"torch", "torchvision", "pyarrow", "matplotlib"}
COMMAND = """
import contextlib, io, sys
from lungfish.cli.app import run
out, err = io.StringIO(), io.StringIO()
with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    code = run(sys.argv[1:])
result = {"code": code, "out": out.getvalue(), "err": err.getvalue()}
"""
BROKEN = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise OSError("libtorch_cpu.so: cannot open shared object file")
sys.meta_path.insert(0, Broken())
"""
LEFT_OUT = "left out: needs PyTorch, which is not installed"
PROVEN = ("model.onnx", "model-int8.onnx", "weights.safetensors", "photos.csv")


def test_auto_fits_the_head_and_the_files_are_those_of_torch(fresh_python: Fresh, trained: Any, tmp_path: Path) -> None:
    options = ("--out", tmp_path / "bundle", "--weights", trained.weights, "--json")
    outcome = fresh_python(COMMAND, "train", trained.photos, *options, blocked=MODULES)
    assert outcome["code"] == 0, outcome["err"]
    advice = r"Fitting the head only: finetune and full need PyTorch, and up to 10 minutes\. .*\[torch\]"
    assert len(re.findall(advice, outcome["err"])) == 1
    assert [(row["recipe"], row["kept"], row["why"]) for row in json.loads(outcome["out"])["candidates"]] == [
        ("probe", True, "a head on the frozen trunk"),
        ("finetune", False, LEFT_OUT),
        ("full", False, LEFT_OUT),
    ]
    report = (tmp_path / "bundle" / "report.html").read_text(encoding="utf-8")
    assert report.count(LEFT_OUT) == 2
    for name in PROVEN:
        assert sha256_file(tmp_path / "bundle" / name) == sha256_file(trained.bundle / name), name


@pytest.mark.parametrize("recipe", ["finetune", "full", "scratch"])
def test_recipes_that_need_torch(fresh_python: Fresh, color_photos: Path, recipe: str) -> None:
    outcome = fresh_python(COMMAND, "train", color_photos, "--recipe", recipe, blocked=MODULES)
    assert outcome["code"] == 3
    assert re.search(rf"the recipe {recipe} needs torch, which is not installed\nRun: .*\[torch\]", outcome["err"])


def test_torch_that_is_broken(fresh_python: Fresh, color_photos: Path) -> None:
    outcome = fresh_python(BROKEN + COMMAND, "train", color_photos)
    assert outcome["code"] == 3
    words = r"torch is installed, but cannot be imported: libtorch_cpu.*\nReinstall it: .*\[torch\]"
    assert re.search(words, outcome["err"])


def test_parquet_without_pyarrow(fresh_python: Fresh, tmp_path: Path) -> None:
    (tmp_path / "photos.parquet").write_bytes(b"PAR1" + b"\0" * 100 + b"PAR1")
    outcome = fresh_python(COMMAND, "train", tmp_path / "photos.parquet", blocked=MODULES)
    assert outcome["code"] == 3
    assert re.search(r"reading Parquet needs pyarrow, which is not installed\nRun: .*\[parquet\]", outcome["err"])
