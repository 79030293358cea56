"""Names of every kind, from people's folders and files, through every command and every page."""

import html
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf

Run = Callable[..., Any]


def control_characters(text: str) -> set[str]:
    return {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Cs")} - {"\n", "\t"}


def test_names_of_every_kind(
    trained: Any, lungfish: Run, write_digits: Callable[..., Path], cache: Path, tmp_path: Path
) -> None:
    """Unicode, spaces, HTML, formulas and terminal escapes in names: shown escaped, kept as they are."""
    shutil.copytree(trained.cache, cache)
    labels = ("naïve café\u202e", "=靴 <img src=x onerror=alert(1)>&\"'", "\x1b[31mred\x07")
    out = tmp_path / "bündel <b>"
    try:
        photos = write_digits(tmp_path / "ph\x1b[2Jotos", labels)
        odd = photos / labels[0] / "\x1b]0;title\x07 <script>alert(1)<!--.png"
        (photos / labels[0] / "0000.png").rename(odd)
        (photos / labels[1] / os.fsdecode(b"bad\xff.png")).write_bytes(b"no picture")
    except OSError:
        pytest.skip("this system has no such names")
    shutil.copytree(trained.bundle, out)
    (out / "mine\x1b[2J.txt").write_text("not of the old bundle")

    command = ("train", photos, "--out", out, "--weights", trained.weights, "--recipe", "probe", "--force")
    refused = lungfish(*command)
    assert refused.code == 2
    assert r"mine\x1b[2J.txt" in refused.err
    (out / "mine\x1b[2J.txt").unlink()
    ended = lungfish(*command)
    assert ended.code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"cache", out.name, photos.name}

    bundle = lf.load(out)
    assert set(bundle.labels) == set(labels)
    (row,) = bundle.predict([odd], artifact="model.onnx")
    assert (row.file, row.label) == (str(odd), labels[0])
    predicted = lungfish("predict", out, odd, photos / labels[2], "--artifact", "model.onnx")
    evaluated = lungfish("evaluate", out, photos)
    assert predicted.code == evaluated.code == 0
    assert r"\x1b]0;title\x07" in predicted.out
    assert r"\x1b[31mred\x07" in evaluated.out
    assert evaluated.err.count(r"bad\udcff.png") == 1

    page = (out / "report.html").read_text(encoding="utf-8")
    for raw in ("<script", "<img src=x", "<b>"):
        assert raw not in page
    assert "=靴 <img src=x onerror=alert(1)>&\"'" in html.unescape(page)
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (page, card, ended.out, ended.err, predicted.out, evaluated.out):
        assert not control_characters(text)
    written = (out / "photos.csv").read_bytes().decode(errors="surrogateescape")
    assert "'=靴" in written  # a spreadsheet must not take it for a formula
