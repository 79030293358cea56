"""Every relative link and anchor in README, SECURITY.md and the pages of `docs` leads somewhere, on GitHub too."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^(```+).*?^\1$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
FENCE = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"[a-z]+:")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page; none for another file."""
    if page.suffix != ".md":
        return set()
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def broken_links(page: Path, root: Path = ROOT) -> list[str]:
    """Return the relative links of a page that lead to no file, out of `root`, or to no heading."""
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if ADDRESS.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_file_here = target.exists() and target.is_relative_to(root)
        if not is_file_here or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def links_out_of_the_site(page: Path, docs: Path = ROOT / "docs") -> list[str]:
    """Return the links of a page to Markdown files that the documentation site does not contain."""
    links = LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    paths = [link.partition("#")[0] for link in links if not ADDRESS.match(link)]
    return [path for path in paths if path.endswith(".md") and not (page.parent / path).resolve().is_relative_to(docs)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page: Path) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("page", [page for page in PAGES if ROOT / "docs" in page.parents], ids=lambda page: page.name)
def test_pages_of_the_site_link_to_pages_of_the_site(page: Path) -> None:
    assert links_out_of_the_site(page) == []


def test_a_link_out_of_the_site_is_found(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("[](../README.md#install) [](other.md) [](https://a.b/c.md) [](../code.py)")
    assert links_out_of_the_site(page, page.parent) == ["../README.md"]


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("# A *new* `page`\n[](#a-new-page) [](https://a.b) `[](code.md)`\n[](#a) [](no.md) [](../page.md)")
    (tmp_path / "page.md").touch()
    assert broken_links(page, page.parent) == ["#a", "no.md", "../page.md"]
