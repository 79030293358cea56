"""The recipes beyond the probe, as commands: what they do, what they say, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from lungfish.training.recipe import read_recipe

from ..tiny import ARCH


@pytest.fixture
def train(lungfish: Any, write_digits: Any, tiny: Path, tmp_path: Path) -> Any:
    """Train the tiny network on 60 digits of three classes; the result as JSON."""
    photos = write_digits(tmp_path / "digits")

    def call(*options: object, start: tuple[object, ...] = ("--weights", tiny)) -> Any:
        ended = lungfish("train", photos, *start, "--out", tmp_path / "bundle", "--json", *options)
        assert ended.code == 0, ended.err
        return ended.json | {"logged": ended.err}

    return call


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_auto_says_what_it_will_do_and_why_it_stopped(train: Any, tmp_path: Path) -> None:
    result = train()
    assert result["recipe"] == "auto"
    assert "Planned; each stage is kept only if it improves on validation photos:\nfinetune: about " in result["logged"]
    first, second = result["candidates"][:2]
    assert (first["recipe"], first["kept"]) == ("probe", True)
    assert second["recipe"] == "finetune"
    assert second["why"]
    assert set(first["val"]) == {"loss", "top1"}
    report = (tmp_path / "bundle" / "report.html").read_text(encoding="utf-8")
    assert second["why"] in report
    if not second["kept"]:  # with so few photos a gain must be clear; without one the head is what the probe fitted
        assert not any(row["kept"] for row in result["candidates"][1:])
        assert "A logistic head on the frozen trunk" in (tmp_path / "bundle" / "MODEL_CARD.md").read_text()


def test_without_time_it_stays_at_the_probe(train: Any, tmp_path: Path) -> None:
    result = train("--minutes", "0.01")
    _probe, finetune = result["candidates"]
    assert (finetune["kept"], finetune["val"]) == (False, None)
    assert finetune["why"].startswith("skipped: needs at least")
    assert finetune["why"].endswith("--minutes 1 would include it")
    assert result["epochs"] == []
    assert read_recipe(str(tmp_path / "bundle" / "recipe.toml")).minutes == 0.01


def test_full_trains_the_stem_too(train: Any, tmp_path: Path) -> None:
    full = 'epochs = 2\nbatch_size = 16\nmixup = 0.2\ncutmix = 1.0\npolicy = "trivial"\n'
    text = f'name = "own"\nfew_photos = 0\n[full]\n{full}'
    result = train("--recipe", recipe_file(tmp_path, text))
    assert [row["stage"] for row in result["epochs"]] == ["full", "full"]
    assert {"loss", "top1", "val_loss", "val_top1", "learning_rate", "images_per_s", "data_wait"} <= set(
        result["epochs"][0]
    )
    kept = result["candidates"][-1]["kept"]
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert ("All layers, fine-tuned from bundle:tiny" in card) is kept


@pytest.mark.usefixtures("copied_int8")
def test_scratch_begins_without_weights(train: Any, lungfish: Any, tmp_path: Path) -> None:
    start = ("--arch", "efficientnet_lite0:resolution=32")  # a tiny network would learn nothing in two epochs
    result = train("--recipe", "scratch", "--epochs", "2", start=start)
    bundle = tmp_path / "bundle"
    assert result["weights"] == "random"
    assert [row["recipe"] for row in result["candidates"]] == ["full"]
    assert "trained from a random initialization" in (bundle / "NOTICE").read_text(encoding="utf-8")
    tensors = load_file(bundle / "weights.safetensors")
    assert tensors["stem.norm.running_mean"].any(), "batch norm has learned its statistics"
    again = lungfish(
        *("train", tmp_path / "digits", "--weights", bundle, "--recipe", "probe"),
        *("--out", tmp_path / "next", "--json"),
    )
    assert again.code == 0, again.err
    assert again.json["weights"] == "bundle:bundle"


def test_scratch_needs_time(lungfish: Any, write_digits: Any, tmp_path: Path) -> None:
    """Without weights there is nothing to fall back on."""
    photos = write_digits(tmp_path / "digits")
    ended = lungfish("train", photos, "--arch", ARCH, "--recipe", "scratch", "--minutes", "0.001", "--json")
    assert ended.code == 2
    assert "full: skipped: needs at least" in ended.json["error"]["message"]


def test_epochs_are_those_of_the_last_step(train: Any) -> None:
    epochs = train("--recipe", "finetune", "--epochs", "1")["epochs"]
    assert {row["epoch"] for row in epochs} == {0}
    assert len({row["stage"] for row in epochs}) == len(epochs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "probe", "--epochs", "3"], "recipe probe has no epochs"),
        (["--recipe", "finetune", "--epochs", "0"], "epochs is 0; it must be 1 to 10000"),
        (["--minutes", "0"], "minutes is 0.0; it must be above 0"),
        (["--minutes", "nan"], "minutes is nan"),
        (["--recipe", "scratch", "--weights", "efficientnet_lite0.in1k"], "recipe scratch starts without weights"),
        (["--recipe", "scrach"], "Did you mean scratch?"),
        (["--cache-gb", "0"], "cache_gb is 0.0; it must be a positive number"),
    ],
)
def test_what_is_refused(
    options: list[str],
    words: str,
    lungfish: Any,
    color_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "10")
    ended = lungfish("train", color_photos, "--out", tmp_path / "bundle", "--json", *options)
    assert ended.code == 2
    error = json.loads(ended.out)["error"]
    assert words in f"{error['message']}\n{error['hint']}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pretrained = false", "without pretrained weights all layers are trained"),
        ("[full]\nworkers = -2", "workers is -2"),
        ('[full]\npolicy = "trivail"', "Did you mean trivial?"),
        ("[full]\nview = 4", "unknown full setting: 'view'"),
        ("finetune = 3", "it must be a table"),
        ("[finetune]\nlearning_rate = 0.0", "learning_rate is 0.0"),
    ],
)
def test_recipes_that_are_refused(text: str, words: str, lungfish: Any, color_photos: Path, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, text)
    ended = lungfish("train", color_photos, "--out", tmp_path / "bundle", "--recipe", path, "--json")
    assert ended.code == 2, ended.err
    error = json.loads(ended.out)["error"]
    assert words in f"{error['message']}\n{error['hint']}"
