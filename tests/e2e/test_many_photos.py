"""More photos than a head on features can make use of: the whole job, with a bound that few photos exceed."""

from pathlib import Path
from typing import Any

import pytest

from lungfish.data.split.photos_csv import read_split
from lungfish.job import dataset as prepare_dataset

RECIPE = """name = "own"
few_photos = 0
cross_validate_below = 0
[finetune]
views = 1
flips = false
epochs = 1
batch_size = 16
"""


def test_the_job_ends_well_though_most_photos_have_no_features(
    lungfish: Any, write_digits: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, bundle, recipe = write_digits(tmp_path / "digits"), tmp_path / "bundle", tmp_path / "own.toml"
    recipe.write_text(RECIPE)
    monkeypatch.setattr(prepare_dataset, "HEAD_PHOTOS", 24)
    options = (photos, "--weights", tiny, "--recipe", recipe, "--out", bundle, "--json")
    plan = lungfish("train", *options, "--dry-run").json
    ended = lungfish("train", *options)
    assert ended.code == 0, ended.err
    result = ended.json

    learned = plan["steps"][0]
    assert learned.startswith("The head learns from 2")
    assert learned.endswith(f" of {result['counts']['train']} training photos")
    assert f"{learned}\n" in ended.err
    assert [row["recipe"] for row in result["candidates"]] == ["probe", "finetune"]
    assert len(result["epochs"]) == 1
    assert result["val"]["n"] == result["counts"]["val"]
    assert result["test"]["n"] == result["counts"]["test"]
    assert result["cross_validation"] == []
    assert len(read_split(bundle / "photos.csv")) == 60, "the others train all the same"
    assert lungfish("train", *options, "--force", "--dry-run").json["cached"] == (
        int(learned.split()[4]) + result["counts"]["val"]
    )
