"""The wheel contains the files that git tracks, and no others; the sdist builds the same wheel.

The packages are built here, by the build backend itself; `make dist` builds the same in an environment of their own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[2]
if shutil.which("git") is None or not (ROOT / ".git").exists():
    pytest.skip("the files are those that git tracks: run it in a clone, with git installed", allow_module_level=True)

METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
IN_SDIST = {".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def tracked(folder: str) -> set[str]:
    """Return the files of a folder that git tracks, relative to the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", folder]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


def build(source: Path, target: str, out: Path) -> Path:
    """Build one package, "wheel" or "sdist", of a source folder into the empty folder `out`; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=source)
    (package,) = out.iterdir()
    return package


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


def test_the_wheel_contains_what_git_tracks(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (folder,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
        assert {name.removeprefix(f"{folder}/") for name in names if name.startswith(folder)} == METADATA
        files = {f"src/{name}" for name in names if not name.startswith(folder)}
        assert files == tracked("src/lungfish"), "git add, or remove, the files that differ"
        assert [name for name in files if archive.read(name.removeprefix("src/")) != (ROOT / name).read_bytes()] == []


def test_the_sdist_contains_what_git_tracks(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers()}
    assert names == tracked("src/lungfish") | IN_SDIST


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    again = build(source, "wheel", tmp_path / "wheel")
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_what_an_earlier_build_left_is_not_packed(wheel: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in {*tracked("src/lungfish"), *IN_SDIST - {"PKG-INFO"}}:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    stale = ("build/lib/lungfish/gone.py", "src/lungfish.egg-info/SOURCES.txt", "src/lungfish/__pycache__/gone.pyc")
    for name in stale:
        (source / name).parent.mkdir(parents=True)
        (source / name).write_text("src/lungfish/gone.py\n")
    assert build(source, "wheel", tmp_path / "wheel").read_bytes() == wheel.read_bytes()
