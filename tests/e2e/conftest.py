from __future__ import annotations

import hashlib
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
