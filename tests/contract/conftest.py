from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# What only the extras bring. The base install has none of it.
TRAIN_MODULES = (
    *("matplotlib", "torch", "sklearn", "scipy", "onnx", "jinja2", "pyarrow"),
    *("safetensors", "httpx2", "huggingface_hub", "filelock"),
)

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


@pytest.fixture
def fresh_python(tmp_path: Path) -> Callable[..., Any]:
    """Run code in a fresh interpreter, without some packages if asked; return what it leaves in `result`."""

    def run(code: str, *arguments: object, base_install: bool = False, blocked: Collection[str] = ()) -> Any:
        out = tmp_path / "result.json"
        hidden = {*blocked, *TRAIN_MODULES} if base_install else set(blocked)
        program = BLOCK.format(blocked=hidden) if hidden else ""
        program += f"{code}\nimport json, pathlib\npathlib.Path({str(out)!r}).write_text(json.dumps(result))"
        command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_text())

    return run


@pytest.fixture
def train_modules() -> tuple[str, ...]:
    return TRAIN_MODULES


@pytest.fixture
def load_benchmark() -> Callable[[str], Any]:
    """Return the module of a script in `benchmarks`, which is no package."""

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
