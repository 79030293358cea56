"""Photos that stand on two sides, and saved sides: what the job says, writes and shows."""

import csv
import html
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.core.errors import PhotosError


@pytest.fixture
def cached(trained: Any, cache: Path) -> None:
    """Features of the photos are at hand."""
    shutil.copytree(trained.cache, cache, dirs_exist_ok=True)


@pytest.mark.usefixtures("cached")
def test_one_folder_as_all_three_sides_is_told_everywhere(trained: Any, lungfish: Any, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        shutil.copytree(trained.photos, tmp_path / "photos" / split)
    bundle = tmp_path / "bundle"
    options = ("--out", bundle, "--weights", trained.weights, "--recipe", "probe", "--json")
    ended = lungfish("train", tmp_path / "photos", *options)
    reported = [warning for warning in ended.json["warnings"] if "different splits" in warning]
    assert len(reported) == 1
    assert "pairs of copies are in different splits, so the figures are too optimistic: " in reported[0]
    page = html.unescape((bundle / "report.html").read_text(encoding="utf-8"))
    assert page.count("so the figures are too optimistic") == 1
    assert "split as given with the photos." in page
    manifest = json.loads((bundle / "bundle.json").read_bytes())
    assert manifest["data"]["splits"]["how"] == f"given {sum(manifest['data']['counts'].values())}"


@pytest.mark.usefixtures("cached")
def test_a_bundle_of_saved_sides_says_so(trained: Any, tmp_path: Path) -> None:
    saved = trained.bundle / "photos.csv"
    lf.train(trained.photos, tmp_path / "bundle", weights=str(trained.weights), recipe="probe", split=saved)
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_bytes())
    assert manifest["data"]["splits"]["how"] == f"saved {sum(manifest['data']['counts'].values())}"
    assert "split as in the saved split." in (tmp_path / "bundle" / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("cached")
def test_saved_sides_without_a_test_photo(trained: Any, tmp_path: Path) -> None:
    with (trained.bundle / "photos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / "photos.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row | {"split": row["split"].replace("test", "val")} for row in rows)
    with pytest.raises(PhotosError, match="the saved split leaves no test photos"):
        lf.train(trained.photos, tmp_path / "bundle", weights=str(trained.weights), split=tmp_path / "photos.csv")
    assert not (tmp_path / "bundle").exists()
