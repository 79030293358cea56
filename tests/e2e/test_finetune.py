"""The recipe `finetune`: better than the probe where there is something to learn, and resumable to the bit."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.cache import cache_folder
from lungfish.training.recipe import Recipe, read_recipe
from lungfish.workflows.demo import write_digits

SMALL = "efficientnet_lite0:resolution=64"
RECIPE = """name = "short"
few_photos = 0
[finetune]
views = 1
flips = false
epochs = 6
batch = 16
learning_rate = 1e-3
patience = 6
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


def train(lungfish: Any, photos: Path, recipe: object, out: Path, *options: str) -> dict[str, Any]:
    ended = lungfish("train", photos, "--arch", SMALL, "--recipe", recipe, "--out", out, "--json", *options)
    assert ended.code == 0, ended.err + ended.out
    result: dict[str, Any] = json.loads(ended.out)
    return result


def test_a_bundle_tells_how_it_learned(lungfish: Any, photos: Path, recipe: Path, tmp_path: Path) -> None:
    probe = train(lungfish, photos, "probe", tmp_path / "probe")
    tuned = train(lungfish, photos, recipe, tmp_path / "tuned")
    assert probe["epochs"] == []
    assert 1 <= len(tuned["epochs"]) <= 6
    assert tuned["val"]["n"] == probe["val"]["n"]
    rows = [json.loads(line) for line in (tmp_path / "tuned" / "training.jsonl").read_text().splitlines()]
    assert rows == tuned["epochs"]
    assert {"epoch", "loss", "val_loss", "learning_rate", "images_per_s", "data_wait"} <= set(rows[0])
    report = (tmp_path / "tuned" / "report.html").read_text(encoding="utf-8")
    assert "How it learned" in report
    assert "How it learned" not in (tmp_path / "probe" / "report.html").read_text(encoding="utf-8")
    assert "The last 5 of 16 blocks" in (tmp_path / "tuned" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert read_recipe(str(tmp_path / "tuned" / "recipe.toml")) == read_recipe(str(recipe))
    assert read_recipe(str(tmp_path / "probe" / "recipe.toml")) == Recipe()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that can be heard")
def test_a_stopped_run_goes_on_to_the_same_bits(
    lungfish: Any,
    photos: Path,
    recipe: Path,
    tmp_path: Path,
    model_bytes: Callable[[Path], dict[str, bytes]],
) -> None:
    bundle = tmp_path / "bundle"
    train(lungfish, photos, recipe, bundle)
    whole = model_bytes(bundle)

    arguments = ["train", photos, "--arch", SMALL, "--recipe", recipe, "--out", bundle, "--force"]
    process = subprocess.Popen([sys.executable, "-m", "lungfish", *map(str, arguments)], stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while not list(cache_folder().glob("runs/*/*/[0-9]*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert model_bytes(bundle) == whole  # the old one stands

    resumed = train(lungfish, photos, recipe, bundle, "--force", "--resume")
    assert model_bytes(bundle) == whole
    assert [row["epoch"] for row in resumed["epochs"]] == list(range(len(resumed["epochs"])))
    assert not list(cache_folder().glob("runs/*/*/[0-9]*.json"))


def test_with_nothing_to_resume_it_begins_anew(lungfish: Any, photos: Path, recipe: Path, tmp_path: Path) -> None:
    options = ("--arch", SMALL, "--recipe", recipe, "--out", tmp_path / "bundle", "--resume", "--json")
    ended = lungfish("train", photos, *options)
    assert ended.code == 0
    assert "Nothing to resume: the job begins anew\n" in ended.err
    assert ended.json["epochs"][0]["epoch"] == 0
