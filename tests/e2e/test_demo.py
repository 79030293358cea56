"""`lungfish demo`, whole: the first thing that people run. Here on smaller pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.job import start as starting_point


@pytest.mark.usefixtures("copied_int8")
def test_demo(lungfish: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting_point, "DEFAULT_ARCH", "efficientnet_lite0:resolution=64")
    monkeypatch.chdir(tmp_path)
    ended = lungfish("demo")
    assert ended.code == 0, ended.err
    assert "10 classes; photos: " in ended.out
    tried = next(line for line in ended.out.splitlines() if line.startswith("Now try: lungfish "))
    folder = tmp_path / "lungfish-demo"
    assert {path.name for path in folder.iterdir()} == {"digits", "digits-bundle"}
    assert sum(1 for _ in (folder / "digits").rglob("*.png")) == 1797
    assert lf.load(folder / "digits-bundle").manifest.test["top1"] > 0.9

    arguments = tried.removeprefix("Now try: lungfish ").split()
    answer = lungfish(*arguments)
    assert answer.code == 0, answer.err
    assert answer.out.split("\t")[:2] == [str(Path("lungfish-demo", "digits", "3", "0003.png")), "3"]


def test_it_spares_what_is_not_its_own(lungfish: Callable[..., Any], tmp_path: Path) -> None:
    mine = tmp_path / "digits" / "3" / "mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"a photo")
    ended = lungfish("demo", "--out", tmp_path)
    assert ended.code == 2
    assert "digits contains a file that is not part of the demo: mine.png" in ended.err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
