"""A real environment that holds the base install alone, as `make test` builds it in `.venv-base`, runs bundles."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLACES = (ROOT / ".venv-base" / "bin" / "python", ROOT / ".venv-base" / "Scripts" / "python.exe")
PYTHON = next((place for place in PLACES if place.exists()), None)

pytestmark = pytest.mark.skipif(PYTHON is None, reason="no .venv-base: run make test")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(PYTHON), *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )


def test_it_holds_no_torch_and_is_not_this_checkout(tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, lungfish; print(u.find_spec('torch'), u.find_spec('sklearn'), lungfish.__file__)"
    )
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    torch, sklearn, file = done.stdout.split(maxsplit=2)
    assert (torch, sklearn) == ("None", "None")
    assert ".venv-base" in file


def test_predict_and_evaluate_as_the_training_environment_does(trained: Any, command: Any, tmp_path: Path) -> None:
    photos = sorted((trained.photos / "2").glob("*.png"))
    predict = ["predict", trained.bundle, *photos, "--json"]
    base = run("-m", "lungfish", *predict)
    assert base.returncode == 0, base.stderr
    assert json.loads(base.stdout) == command(*predict, cache=tmp_path).json
    evaluated = run("-m", "lungfish", "evaluate", trained.bundle, trained.photos, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["artifacts"][0]["top1"] > 0.9


def test_train_says_what_to_install(trained: Any, tmp_path: Path) -> None:
    done = run("-m", "lungfish", "train", trained.photos, "--out", tmp_path / "bundle")
    assert done.returncode == 3
    assert re.search(r"pip install .*\[train\]", done.stderr)
    assert "Traceback" not in done.stderr
