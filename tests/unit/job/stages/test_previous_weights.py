"""Which bundle a job may continue from; that it does is tested by `tests/e2e/test_second_day.py`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lungfish.core.progress import Progress
from lungfish.job.stages import previous_weights as module
from lungfish.job.start import choose_start
from lungfish.training.recipe import RECIPES

START = choose_start(None, "efficientnet_lite0.in1k")


@pytest.mark.parametrize(
    ("photos", "recipe", "continues"), [("more", "auto", True), ("same", "auto", False), ("more", "probe", False)]
)
def test_the_same_photos_are_not_learned_twice(
    photos: str, recipe: str, continues: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    last: Any = SimpleNamespace(arch=START.arch, entry=START.entry, preprocess=START.preprocess)
    monkeypatch.setattr(module, "choose_start", lambda *_: last)
    monkeypatch.setattr(module, "read_manifest", lambda _: SimpleNamespace(data=SimpleNamespace(fingerprint="same")))
    dataset: Any = SimpleNamespace(previous=Path("shoes-bundle"), fingerprint=lambda: photos)
    job: Any = SimpleNamespace(weights=None)
    found = module.last_weights(dataset, START, job, RECIPES[recipe], Progress())
    assert (found is not None) is continues
