"""Real photos: a few of each class of the clothing data that lies beside the repository, where it does."""

import html
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLOTHING = Path(__file__).parents[3] / "shared" / "data" / "clothing-small"
PER_CLASS = {"train": 6, "validation": 2, "test": 3}


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="needs ../shared/data/clothing-small")
@pytest.mark.usefixtures("several_processes")  # one, as large as several
def test_a_few_photos_of_each_class(command: Callable[..., Any], cache: Path, tmp_path: Path) -> None:
    for split, count in PER_CLASS.items():
        for folder in (CLOTHING / split).iterdir():
            (tmp_path / "photos" / split / folder.name).mkdir(parents=True)
            for photo in sorted(folder.iterdir())[:count]:
                shutil.copy(photo, tmp_path / "photos" / split / folder.name)

    options = ("--arch", "efficientnet_lite0:resolution=128", "--recipe", "probe", "--json")
    ended = command("train", tmp_path / "photos", "--out", tmp_path / "bundle", *options, cache=cache)
    assert ended.code == 0, ended.err
    value = ended.json
    assert len(value["classes"]) == 10
    assert value["weights"] == "efficientnet_lite0.in1k"
    assert value["counts"] == {"train": 60, "val": 20, "test": 30}
    fp32 = next(row for row in value["artifacts"] if row["precision"] == "fp32")
    assert fp32["top1"] >= 0.5  # chance is 0.1
    assert value["artifacts"][1]["agreement_with_fp32"] >= 0.8
    assert value["skipped"] == []

    notice = (tmp_path / "bundle" / "NOTICE").read_text(encoding="utf-8")
    assert "efficientnet_lite0.in1k" in notice
    assert "END OF TERMS AND CONDITIONS" in notice  # of Apache-2.0, whole

    page = html.unescape((tmp_path / "bundle" / "report.html").read_text(encoding="utf-8"))
    assert not {each for each in page if unicodedata.category(each) == "Cc"} - {"\n"}
    assert "Content-Security-Policy" in page
    assert "default-src 'none'; img-src data:" in page
    assert page.count("data:image/jpeg;base64,") >= 1  # its worst mistakes, as pictures
