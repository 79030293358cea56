"""README, the guides and the pages of `docs/learn` show what their own code prints.

Every `sh` and `python` block of a page is run, in order, in a folder with nothing but the records in `benchmarks/`, or
for README and a guide in one that holds `photo.png` and `photos/`, the guide of bundles also `photos-bundle/`. A `text`
block right after one is what it must print on stdout; `text measured` holds figures of one machine and is not compared.
`text example`, `sh example` and `python example` show what runs elsewhere; `python from FILE` quotes lines of FILE. A
picture that a block writes must be the one that lies beside the page.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lungfish.architecture import Flavour
from lungfish.job import start as starting_point
from lungfish.training.recipe import RECIPES
from lungfish.workflows import yardstick

from ..unit.weights.git_server import git, serve_git

DOCS = Path(__file__).parents[2] / "docs"
LEARN = DOCS / "learn"
QUOTED = " from "
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
YARDSTICK_PACKAGES = ("torchvision", "onnxscript")


@dataclass(frozen=True)
class Block:
    """Code, and what it must print; None where that is not compared."""

    language: str
    code: str
    printed: str | None


def blocks_of(page: Path) -> list[Block]:
    fences = FENCE.findall(page.read_text(encoding="utf-8"))
    blocks = []
    for (language, kind, code), (following, note, printed) in pairwise([*fences, ("", "", "")]):
        if language in ("sh", "python"):
            if kind.strip() == "example" or kind.startswith(QUOTED):
                continue
            blocks.append(Block(language, code, printed if following == "text" and not note.strip() else None))
        else:
            assert language == "text", f"{page.name}: a block of {language} is run by nothing"
    return blocks


PAGES, GUIDES = sorted(LEARN.glob("*.md")), [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]


def test_there_are_pages_with_code() -> None:
    assert sum(len(blocks_of(page)) for page in PAGES) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, lungfish: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(DOCS.parent / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("*.py", "__*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(yardstick, "_from_pixels", _small_network)
    run_page(page, lungfish)
    for picture in tmp_path.glob("*.svg"):
        assert (LEARN / picture.name).read_text(encoding="utf-8") == picture.read_text(encoding="utf-8"), picture.name


@pytest.mark.usefixtures("copied_int8")
@pytest.mark.parametrize("guide", GUIDES, ids=lambda page: page.stem)
def test_guide(
    guide: Path,
    lungfish: Callable[..., Any],
    write_digits: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(starting_point, "DEFAULT_ARCH", "efficientnet_lite0:resolution=64")
    monkeypatch.setitem(RECIPES, "auto", replace(RECIPES["auto"], minutes=0.01))  # it stays with the head
    write_digits(tmp_path / "photos", count=8)
    shutil.copy(tmp_path / "photos" / "0" / "0000.png", tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    is_of_repositories, is_of_bundles = guide.stem == "repositories", guide.stem == "bundle"
    if is_of_bundles:
        shutil.copytree(request.getfixturevalue("trained").bundle, tmp_path / "photos-bundle")
    printed = run_page(guide, lungfish, request.getfixturevalue("repository") if is_of_repositories else None)
    if is_of_bundles:
        _, by_lungfish, without_it, _ = printed
        assert without_it == by_lungfish


@pytest.fixture
def repository(
    tmp_path_factory: pytest.TempPathFactory, start_server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """A repository with a checkpoint of torchvision, and the services that find it: what stands for the guide's."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    import torch

    import lungfish as lf

    work = tmp_path_factory.mktemp("served") / "nets"
    (work / "models").mkdir(parents=True)
    network = lf.build(lf.arch("mobilenet_v2:width=0.25"), flavour=Flavour("symmetric", 1e-5), seed=0)
    torch.save(lf.export_weights(network, "torchvision"), work / "models" / "net.pth")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "config", "uploadpack.allowFilter", "true")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "weights")
    hub, github = start_server(), start_server()
    hub.answer("/api/models", reply.json([]))
    github.answer(
        "/search/repositories", reply.json({"items": [{"full_name": "me/nets", "license": {"spdx_id": "MIT"}}]})
    )
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    with serve_git(work.parent) as address:
        yield {"https://github.com/me/nets": f"{address}/nets/.git", "COMMIT": git(work, "rev-parse", "HEAD")}


def _small_network(_classifier: object) -> Any:
    """What a yardstick is timed as, since exporting one takes ten seconds; test_compare.py does."""
    import torch

    class Mean(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.float().mean(dim=(1, 2)).softmax(dim=-1)

    return Mean()


def run_page(page: Path, lungfish: Callable[..., Any], stand_ins: Mapping[str, str] | None = None) -> list[str]:
    """Run the blocks of a page, with other texts in the place of some of theirs; return what each prints."""
    all_printed = []
    for number, block in enumerate(blocks_of(page), start=1):
        code = block.code
        for text, stand_in in (stand_ins or {}).items():
            code = code.replace(text, stand_in)
        if "torchvision:" in block.code:
            for package in YARDSTICK_PACKAGES:
                pytest.importorskip(package)
        printed = run_python(code) if block.language == "python" else run_commands(code, lungfish)
        if block.printed is not None:
            assert printed == block.printed, f"{page.name}, block {number}"
        all_printed.append(printed)
    return all_printed


def run_python(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "page", "exec"), {})
    return out.getvalue()


def run_commands(code: str, lungfish: Callable[..., Any]) -> str:
    out = ""
    for line in code.replace("\\\n", " ").splitlines():
        name, *arguments = shlex.split(line)
        assert name == "lungfish", line
        ended = lungfish(*arguments)
        assert ended.code == 0, ended.err
        out += ended.out
    return out


@pytest.mark.parametrize("page", [*PAGES, *GUIDES], ids=lambda page: page.stem)
def test_quoted_lines_are_those_of_the_file(page: Path) -> None:
    for _language, kind, lines in FENCE.findall(page.read_text(encoding="utf-8")):
        if kind.startswith(QUOTED):
            file = DOCS.parent / kind.removeprefix(QUOTED).strip()
            assert f"\n{lines}" in file.read_text(encoding="utf-8")


def test_every_picture_is_of_a_page() -> None:
    """And is written by a block: else it would grow old unnoticed."""
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    code = "".join(block.code for page in PAGES for block in blocks_of(page))
    for picture in LEARN.glob("*.svg"):
        assert f"]({picture.name})" in pages
        assert picture.name in code
