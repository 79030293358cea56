from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from .warm_job import stop_forkserver

Run = Callable[..., Any]
Refusal = Callable[..., str]
Untouched = Callable[[Path], AbstractContextManager[None]]

MODEL_FILES = ("model.onnx", "model-int8.onnx", "weights.safetensors")


@pytest.fixture(autouse=True, scope="module")
def _forkserver_stopped() -> Iterator[None]:
    """Free the half gigabyte of the process that jobs are forked from."""
    yield
    stop_forkserver()


def _look(folder: Path) -> dict[str, str]:
    """What is under `folder`, by name: the hash of a file, the target of a link. The cache is left out."""
    found = {path.relative_to(folder): path for path in folder.rglob("*")}
    return {str(name): _content(path) for name, path in found.items() if name.parts[0] != "cache"}


def _content(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"


@pytest.fixture
def untouched() -> Untouched:
    """Nothing under a folder is lost, changed or left behind by the block; the cache may fill."""

    @contextmanager
    def check(folder: Path) -> Iterator[None]:
        before = _look(folder)
        yield
        assert _look(folder) == before

    return check


@pytest.fixture(scope="session")
def model_bytes() -> Callable[[Path], dict[str, bytes]]:
    """The files of a bundle that the same job makes again bit for bit."""
    return lambda bundle: {name: (bundle / name).read_bytes() for name in MODEL_FILES}


# Takes from root, for good, the two capabilities that let it read and write what permissions forbid.
OBEY = """
import ctypes
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        raise SystemExit("cannot give up capabilities")
"""


@pytest.fixture
def obey_permissions(tmp_path: Path) -> str:
    """A prelude for `command` after which root, too, obeys the permissions of files."""
    if sys.platform == "win32":
        pytest.skip("permissions are another matter on Windows")
    prelude = OBEY if os.geteuid() == 0 else "pass"
    secret = tmp_path / "secret"
    secret.touch(mode=0o000)
    become = f"{prelude}\nimport os, sys; os.execv('/bin/cat', ['cat', sys.argv[1]])"
    tried = subprocess.run([sys.executable, "-c", become, str(secret)], capture_output=True, check=False)
    secret.unlink()
    if b"Permission denied" not in tried.stderr:
        pytest.skip("root cannot be made to obey permissions here")
    return prelude


@pytest.fixture
def refusal(lungfish: Run) -> Refusal:
    """Run a command that must fail; returns message and hint, which are the same in words and in JSON."""

    def call(*arguments: object, code: int) -> str:
        plain, as_json = lungfish(*arguments), lungfish(*arguments, "--json")
        assert (plain.code, as_json.code) == (code, code), plain.err
        assert plain.out == ""
        assert "Traceback" not in plain.err + as_json.err
        assert "unexpected" not in plain.err
        error = as_json.json["error"]
        assert set(error) == {"code", "message", "hint"}
        assert error["hint"], "an error must offer a next step"
        assert plain.err.endswith(f"error: {error['message']}\n{error['hint']}\n")
        assert "\x1b" not in plain.err
        return f"{error['message']}\n{error['hint']}"

    return call


@pytest.fixture
def digits(write_digits: Callable[..., Path], tmp_path: Path) -> Path:
    """Three classes of 8 photos, to be spoilt."""
    return write_digits(tmp_path / "digits", count=8)


@pytest.fixture
def train_refused(refusal: Refusal, untouched: Untouched, tiny: Path, tmp_path: Path) -> Refusal:
    """Run `train`, which must fail and leave everything under `tmp_path` as it was."""

    def call(photos: Path, *options: object, code: int = 2) -> str:
        if "--out" not in options:
            options = (*options, "--out", tmp_path / "bundle")
        with untouched(tmp_path):
            return refusal("train", photos, "--weights", tiny, *options, code=code)

    return call
