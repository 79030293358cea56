from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

MODEL_FILES = ("model.onnx", "model-int8.onnx", "weights.safetensors")


def _snapshot(folder: Path) -> dict[str, str]:
    """Every file, folder and link under `folder`, with the hash of its content."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def untouched() -> Callable[..., AbstractContextManager[None]]:
    """Nothing under a folder is lost, changed or left behind by the block; the cache may fill."""

    @contextmanager
    def check(folder: Path) -> Iterator[None]:
        def look() -> dict[str, str]:
            return {name: what for name, what in _snapshot(folder).items() if Path(name).parts[0] != "cache"}

        before = look()
        yield
        assert look() == before

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
