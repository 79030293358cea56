"""The same folder again, with more photos and a new class: the split stays, and the report says what changed."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

RECIPE = """
name = "own"
few_photos = 0
penalties = [{penalty}]
[full]
flips = false
epochs = 4
batch_size = 8
learning_rate = 2e-3
"""


@pytest.fixture
def train(lungfish: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def call(penalty: float) -> Any:
        (tmp_path / "own.toml").write_text(RECIPE.format(penalty=penalty), encoding="utf-8")
        ended = lungfish("train", "digits", "--weights", tiny, "--recipe", "own.toml", "--json")
        assert ended.code == 0, ended.err
        return ended.json | {"logged": ended.err}

    return call


def splits(bundle: str) -> dict[str, str]:
    with (Path(bundle) / "photos.csv").open(encoding="utf-8") as file:
        return {row["sha256"]: row["split"] for row in csv.DictReader(file)}


def test_more_photos_and_a_new_class(train: Any, write_digits: Any, tmp_path: Path) -> None:
    write_digits(tmp_path / "digits", count=16)
    first = train(1e6)  # the head knows nothing, so tuning is kept
    assert first["candidates"][1]["kept"], first["candidates"]
    assert first["what_changed"] is None
    write_digits(tmp_path / "digits", ("0", "1", "2", "3"), count=40)
    second = train(10.0)
    assert (second["previous"], second["split_from"]) == (first["bundle"], "digits-bundle")
    before, after = splits(first["bundle"]), splits(second["bundle"])
    assert len(after) > len(before)
    assert {content: after[content] for content in before} == before

    changed = second["what_changed"]
    assert changed["added"] == ["3"]
    assert [row["label"] for row in changed["classes"]] == ["0", "1", "2"]
    report = (Path(second["bundle"]) / "report.html").read_text(encoding="utf-8")
    assert "What changed" in report
    assert "New class: 3." in report

    manifest = json.loads((Path(second["bundle"]) / "bundle.json").read_text(encoding="utf-8"))
    starts_from_last = "\nStarting from bundle:digits-bundle: on " in second["logged"]
    assert starts_from_last != ("\nNot starting from bundle:digits-bundle: on " in second["logged"])
    assert manifest["weights"]["name"] == ("bundle:digits-bundle" if starts_from_last else "bundle:tiny")
