"""The fingerprint changes with what a parity run proves and with nothing else; only a complete, passing run counts."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from . import fingerprint as module
from . import page as page_module
from .fingerprint import fingerprint, pinned_versions, proven_files, recorded
from .page import Page

BLOCKS = '''"""Blocks of a network."""

from lungfish.core.errors import LungfishError
from lungfish.rows import WIDTH

__all__ = ["block"]

STRIDE = 2


def block(x):
    """Scale."""
    from lungfish.rows import shift

    return WIDTH * x + shift(x)  # in float
'''
ROWS = "WIDTH = 8\n\n\ndef shift(x):\n    return x << 1\n"
FOLDER = str(Path(module.__file__).parent)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small source tree: `nn.blocks`, which is proven, and the `rows` that it imports."""
    source = tmp_path / "src"
    for name, text in {"nn/blocks.py": BLOCKS, "rows.py": ROWS, "core/errors.py": "class LungfishError: ...\n"}.items():
        (source / "lungfish" / name).parent.mkdir(parents=True, exist_ok=True)
        (source / "lungfish" / name).write_text(text)
    monkeypatch.setattr(module, "SOURCE", source)
    monkeypatch.setattr(module, "ROOTS", ("lungfish.nn",))
    return source / "lungfish"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("nn/blocks.py", "WIDTH * x", "WIDTH + x"),
        ("nn/blocks.py", "STRIDE = 2", "STRIDE = 3"),
        ("nn/blocks.py", "STRIDE = 2", "from math import floor as round"),
        ("rows.py", "x << 1", "x << 2"),
    ],
)
def test_it_changes_with_the_code(tree: Path, file: str, old: str, new: str) -> None:
    before = fingerprint()
    edit(tree / file, old, new)
    assert fingerprint() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("nn/blocks.py", "  # in float", ""),
        ("nn/blocks.py", '"""Scale."""', '"""Scale and shift.\n\n    Twice.\n    """'),
        ("nn/blocks.py", "WIDTH * x + shift(x)", "(\n        WIDTH * x\n        + shift(x)\n    )"),
        ("nn/blocks.py", '__all__ = ["block"]', '__all__ = ["STRIDE", "block"]'),
        ("core/errors.py", "...", "code = 3"),
    ],
)
def test_it_is_the_same_without_a_change_of_the_code(tree: Path, file: str, old: str, new: str) -> None:
    before = fingerprint()
    edit(tree / file, old, new)
    assert fingerprint() == before


def test_it_is_the_same_when_files_move(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    (tree / "tables").mkdir()
    shutil.move(tree / "rows.py", tree / "tables" / "widths.py")
    edit(tree / "nn" / "blocks.py", "lungfish.rows", "lungfish.tables.widths")
    shutil.move(tree / "nn", tree / "networks")
    with pytest.raises(ValueError, match=r"lungfish\.nn does not exist; name its new place in ROOTS"):
        fingerprint()
    monkeypatch.setattr(module, "ROOTS", ("lungfish.networks",))
    assert fingerprint() == before
    edit(tree / "tables" / "widths.py", "WIDTH = 8\n", "")  # a definition goes to another file
    edit(tree / "networks" / "blocks.py", "STRIDE = 2\n", "STRIDE = 2\nWIDTH = 8\n")
    assert fingerprint() == before


def test_it_changes_with_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    monkeypatch.setattr(module, "pinned_versions", lambda: pinned_versions() | {"timm": "9"})
    assert fingerprint() != before


def test_what_it_covers() -> None:
    names = {file.relative_to(module.SOURCE / "lungfish").as_posix() for file in proven_files()}
    covered = {"architecture/lowering.py", "costs/count.py", "nn/blocks.py", "exporters/onnx_graph.py"}
    assert covered | {"weights/layouts/keras.py", "weights/formats/pytorch.py", "weights/formats/keras.py"} <= names
    packages = {name.partition("/")[0] for name in names}
    assert not packages & {"core", "cli", "workflows", "job", "training", "data", "deploy"}


@pytest.fixture(autouse=True)
def _pins_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test` does not install all packages that parity compares with."""
    monkeypatch.setattr(page_module, "pinned_versions", lambda: {"pytest": version("pytest")})


def finished(path: Path, arguments: list[str], exitstatus: int = 0) -> Page:
    page = Page(path, arguments)
    page.write(["| a table |"], exitstatus)
    return page


def test_a_complete_run_is_written_down(tmp_path: Path) -> None:
    path = tmp_path / "parity.md"
    assert finished(path, [FOLDER]).outcome == f"{path} written"
    assert recorded(path) == fingerprint()
    assert f"pytest {version('pytest')}." in path.read_text()
    assert "| a table |" in path.read_text()
    assert recorded(tmp_path / "gone.md") is None


def test_no_other_run_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "parity.md"
    assert "tests failed" in finished(path, [FOLDER], exitstatus=1).outcome
    assert "only a part of tests/parity was run" in finished(path, [f"{FOLDER}/test_flops.py"]).outcome
    skipped, chosen = Page(path, [FOLDER]), Page(path, [FOLDER])
    skipped.skipped, chosen.deselected = 2, 3
    for page in (skipped, chosen):
        page.write([], 0)
    assert "2 tests were skipped" in skipped.outcome
    assert "3 tests were deselected" in chosen.outcome
    edited = Page(path, [FOLDER])
    edited.fingerprint = "0" * 64
    edited.write([], 0)
    assert "sources changed during the run" in edited.outcome
    monkeypatch.setattr(page_module, "pinned_versions", lambda: {"timm": "9"})
    assert "installed versions differ from constraints.txt: timm" in finished(path, [FOLDER]).outcome
    assert not path.exists()
