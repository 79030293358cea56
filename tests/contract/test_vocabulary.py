from __future__ import annotations

from pathlib import Path

import pytest

from .vocabulary import main

GLOSSARY = """
| say | meaning | not |
|---|---|---|
| dataset | the photos of a job | `gathered`, `at_hand` |

| identifier | files | why |
|---|---|---|
| `gathered_by_torch` | `group.py` | its name |
"""


@pytest.mark.parametrize(
    ("file", "code", "found"),
    [
        ("a.py", "gathered_photos = 1", "gathered_photos"),
        ("a.py", "class PhotosGathered: ...", "PhotosGathered"),
        ("a.py", "def read(gathered): ...", "gathered"),
        ("a.py", "x.is_at_hand = 1", "is_at_hand"),
        ("a.py", "from torch import gather as gathered", "gathered"),
        ("gathered.py", "", "gathered"),
        ("a.py", "torch.gathered(x); hand = at = 1", None),
        ("group.py", "gathered_by_torch = 1", None),
        ("a.py", "gathered_by_torch = 1", "gathered_by_torch"),
        ("a.py", "def test_what_was_gathered(): ...", None),
    ],
)
def test_words_to_avoid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, code: str, found: str | None
) -> None:
    (tmp_path / "glossary.md").write_text(GLOSSARY)
    (tmp_path / file).write_text(code)
    assert main(str(tmp_path / "glossary.md"), str(tmp_path)) == int(found is not None)
    out = capsys.readouterr().out
    assert (f"{file}:1: {found} has" in out) if found else not out


def test_an_exception_needs_a_reason(tmp_path: Path) -> None:
    (tmp_path / "glossary.md").write_text(GLOSSARY.replace("its name", ""))
    with pytest.raises(AssertionError, match="without a reason"):
        main(str(tmp_path / "glossary.md"), str(tmp_path))
