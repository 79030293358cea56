"""The recipe `finetune`: better than a probe that is bad on purpose. test_killed.py resumes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from lungfish.training.recipe import Recipe, read_recipe
from lungfish.workflows.demo import write_digits

RECIPE = """name = "short"
few_photos = 0
penalties = [1e6]
[finetune]
views = 1
flips = false
epochs = 6
batch_size = 16
learning_rate = 1e-3
patience = 6
tail_share = 0.8
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune") / "digits"
    write_digits(folder)
    for label in folder.iterdir():
        for surplus in sorted(label.iterdir())[24:]:
            surplus.unlink()
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text(RECIPE)
    return path


def test_a_bundle_tells_how_it_learned(lungfish: Any, photos: Path, tiny: Path, recipe: Path, tmp_path: Path) -> None:
    def train(recipe: object, name: str) -> Any:
        options = ("--weights", tiny, "--recipe", recipe, "--out", tmp_path / name, "--json", "--resume")
        ended = lungfish("train", photos, *options)
        assert ended.code == 0, ended.err + ended.out
        assert "Nothing to resume; starting from the beginning\n" in ended.err
        return ended.json

    probe, tuned = train("probe", "probe"), train(recipe, "tuned")
    assert probe["epochs"] == []
    assert 1 <= len(tuned["epochs"]) <= 6
    assert tuned["epochs"][0]["epoch"] == 0
    assert tuned["val"]["n"] == probe["val"]["n"]
    rows = [json.loads(line) for line in (tmp_path / "tuned" / "training.jsonl").read_text().splitlines()]
    assert rows == tuned["epochs"]
    assert {"epoch", "loss", "val_loss", "learning_rate", "images_per_s", "data_wait"} <= set(rows[0])
    report = (tmp_path / "tuned" / "report.html").read_text(encoding="utf-8")
    assert "How it learned" in report
    assert "How it learned" not in (tmp_path / "probe" / "report.html").read_text(encoding="utf-8")
    card = (tmp_path / "tuned" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "The last 5 of 6 blocks" in " ".join(card.split())
    resolved = read_recipe(str(recipe)).for_photos(tuned["counts"]["train"])
    assert read_recipe(str(tmp_path / "tuned" / "recipe.toml")) == resolved
    assert read_recipe(str(tmp_path / "probe" / "recipe.toml")) == Recipe(name="probe")
