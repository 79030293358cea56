"""`lungfish demo`, whole: the first thing that people run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lungfish as lf


def test_demo(command: Callable[..., Any], cache: Path, tmp_path: Path) -> None:
    ended = command("demo", cache=cache, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "10 classes; photos: " in ended.out
    tried = next(line for line in ended.out.splitlines() if line.startswith("Now try: lungfish "))
    folder = tmp_path / "lungfish-demo"
    assert {path.name for path in folder.iterdir()} == {"photos", "digits-bundle"}
    assert sum(1 for _ in (folder / "photos").rglob("*.png")) == 1797
    assert lf.load(folder / "digits-bundle").manifest.test["top1"] > 0.9

    arguments = tried.removeprefix("Now try: lungfish ").split()
    answer = command(*arguments, cache=cache, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert answer.out.split("\t")[:2] == [str(Path("lungfish-demo", "photos", "3", "0003.png")), "3"]
