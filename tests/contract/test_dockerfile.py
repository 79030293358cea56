"""The Dockerfile satisfies hadolint, where that is installed, and rules of our own; neither needs Docker."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).parent / "hadolint"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def stages(text: str) -> list[list[tuple[str, str]]]:
    """Return the instructions of each build stage, `(FROM, ...)` first, with continued lines joined."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).split("\n")
    found: list[list[tuple[str, str]]] = []
    for name, _, arguments in (line.partition(" ") for line in lines if line.strip()):
        if name == "FROM":
            found.append([])
        found[-1].append((name, " ".join(arguments.split())))
    return found


def in_context(name: str) -> bool:
    """Return whether `.dockerignore` lets a path at the root of the repository through; the last match decides."""
    passes = True
    for pattern in IGNORED:
        if fnmatch(name, pattern.removeprefix("!")):
            passes = pattern.startswith("!")
    return passes


@pytest.mark.skipif(
    not HADOLINT.exists(), reason="hadolint is not installed: its package has no wheel for this machine"
)
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_instructions() -> None:
    build, final = stages(DOCKERFILE)
    assert {name for name, _ in build} == {"FROM", "WORKDIR", "COPY", "RUN"}
    assert [name for name, _ in final] == ["FROM", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"]
    assert dict(final)["ENTRYPOINT"] == '["lungfish"]'
    user, _, group = dict(final)["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert build[0][1] == f"{final[0][1]} AS build"  # an environment runs only with the Python that it was made with
    installs = re.findall(r"pip install (.*?)(?: &&|$)", dict(build)["RUN"])
    assert installs == ["--no-cache-dir --constraint constraints.txt ."]


def test_what_is_copied_is_in_the_context() -> None:
    build, _ = stages(DOCKERFILE)
    copied = [name for kind, arguments in build if kind == "COPY" for name in arguments.split()[:-1]]
    assert sorted(copied) == sorted(line.removeprefix("!") for line in IGNORED if line.startswith("!"))
    for name in copied:
        assert (ROOT / name).exists()
        assert in_context(name)
    for name in (".git", ".venv", "tests", "docs", "dist", "photos-bundle"):
        assert not in_context(name)


def test_no_address_is_written_into_it() -> None:
    assert "://" not in DOCKERFILE
