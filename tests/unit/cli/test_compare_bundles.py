"""`lungfish compare OLD NEW` for bundles."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lungfish.core.hashing import sha256_file
from lungfish.data.split.photos_csv import SplitRow, write_split

Run = Callable[..., Any]


@pytest.fixture
def older(write_color_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle that knows red and blue only."""
    return write_color_bundle(tmp_path / "older", labels=("blue", "red"))


@pytest.fixture
def list_photos(rewrite: Callable[..., None]) -> Callable[..., None]:
    """Write a bundle's `photos.csv`: the split of each photo by its file name."""

    def call(bundle: Path, photos: Path, splits: dict[str, str]) -> None:
        rows = [
            SplitRow(sha256_file(path), f"{path.parent.name}/{path.name}", path.parent.name, splits[path.name], "")
            for path in sorted(photos.rglob("*.png"))
            if path.name in splits
        ]
        file = bundle / "photos.csv"
        write_split(file, rows)
        row = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
        rewrite(bundle, lambda manifest: manifest["files"].update({"photos.csv": row}))

    return call


def test_two_bundles_without_photos(lungfish: Run, older: Path, color_bundle: Path) -> None:
    value = lungfish("compare", older, color_bundle, "--json").json
    assert value["classes"] == {"shared": ["red", "blue"], "added": ["green"], "removed": []}
    assert (value["old"]["bundle"], value["old"]["classes"], value["new"]["classes"]) == (str(older), 2, 3)
    assert value["new"]["bytes"] == (color_bundle / "model.onnx").stat().st_size
    assert value["new"]["latency_ms"]["p50"] > 0
    assert (value["what_changed"], value["same_test_photos"], value["old"]["test_top1"]) == (None, None, None)
    outcome = lungfish("compare", older, color_bundle)
    assert outcome.code == 0
    for line in ("2 classes shared: red, blue", "1 class added: green", "0 classes removed", "add --photos PHOTOS"):
        assert line in outcome.out
    assert "not recorded" in outcome.out


def test_both_answer_the_same_photos(
    lungfish: Run,
    older: Path,
    write_color_bundle: Callable[..., Path],
    color_model: Callable[..., Any],
    color_photos: Path,
    tmp_path: Path,
) -> None:
    """The new bundle takes every photo for a color that it is not."""
    for index in range(5):
        Image.new("RGB", (20, 40 + index), "red").save(color_photos / "red" / f"more-{index}.png")
    inverted = {"model.onnx": color_model(sharpness=-0.02).SerializeToString()}
    newer = write_color_bundle(tmp_path / "newer", models=inverted)
    changed = lungfish("compare", older, newer, "--photos", color_photos, "--json").json["what_changed"]
    overall = changed["overall"]
    assert (overall["n"], overall["only_old_right"], overall["verdict"]) == (11, 11, "worse")
    assert overall["p"] == pytest.approx(2 / 2**11, abs=1e-6)
    assert [row["verdict"] for row in changed["classes"]] == ["worse", "inconclusive"]
    assert (changed["left_out"], changed["unlisted"]) == ({"trained_on": 0, "other_classes": 3}, ["older", "newer"])
    assert changed["answered_added"] == 8  # red is as far from green as from blue, and the first of equals counts
    outcome = lungfish("compare", older, newer, "--photos", color_photos)
    assert outcome.code == 0  # it is no gate
    assert "Worse: the new bundle gets 0 of 11 photos right" in outcome.out
    assert "split: all" in outcome.out


def test_photos_that_either_was_trained_on_are_left_out(
    lungfish: Run, older: Path, color_bundle: Path, color_photos: Path, list_photos: Callable[..., None]
) -> None:
    list_photos(older, color_photos, {"0.png": "train", "1.png": "test"})
    list_photos(color_bundle, color_photos, {"0.png": "train", "1.png": "test", "2.png": "val"})
    value = lungfish("compare", older, color_bundle, "--photos", color_photos, "--json").json
    changed = value["what_changed"]
    assert (changed["overall"]["n"], changed["left_out"]["trained_on"], changed["unlisted"]) == (4, 2, [])
    assert value["same_test_photos"] is True
    created = "2 of these photos are validation photos of a bundle, which makes its figures too optimistic"
    assert value["warnings"] == [f"{created}; --split test leaves them out"]
    value = lungfish("compare", older, color_bundle, "--photos", color_photos, "--split", "test", "--json").json
    assert (value["what_changed"]["overall"]["n"], value["warnings"]) == (2, [])
    outcome = lungfish("compare", older, color_bundle, "--photos", color_photos, "--split", "train")
    assert outcome.code == 0
    assert "no photo is left: 2 photos of shared classes were training photos" in outcome.out
    list_photos(older, color_photos, {"1.png": "train", "2.png": "test"})
    outcome = lungfish("compare", older, color_bundle)
    assert "on different photos, so do not compare these" in outcome.out


def test_unreadable_photos_are_named(lungfish: Run, older: Path, color_bundle: Path, color_photos: Path) -> None:
    (color_photos / "red" / "bad.jpg").write_text("hello")
    outcome = lungfish("compare", older, color_bundle, "--photos", color_photos)
    assert outcome.code == 0
    assert "skipped red/bad.jpg: not a picture" in outcome.err


def test_a_slimmed_bundle_is_compared_too(
    lungfish: Run, older: Path, color_bundle: Path, color_photos: Path, list_photos: Callable[..., None]
) -> None:
    list_photos(older, color_photos, {"0.png": "train"})
    (older / "photos.csv").unlink()
    outcome = lungfish("compare", older, color_bundle, "--photos", color_photos)
    assert outcome.code == 0
    assert "older, color-bundle do not list their training photos" in outcome.out


def test_what_cannot_be_compared(
    lungfish: Run, older: Path, color_bundle: Path, color_photos: Path, write_color_bundle: Callable[..., Path]
) -> None:
    def refused(*arguments: object, code: int = 2) -> str:
        outcome = lungfish("compare", *arguments)
        assert outcome.code == code
        return str(outcome.err)

    assert "mobilenet_v2 is not: no such folder" in refused(older, "mobilenet_v2")
    assert "two bundles can be compared, not 1" in refused(older)
    assert "two bundles can be compared, not 3" in refused(older, color_bundle, older)
    assert "contains no bundle.json: it is not a bundle" in refused(older, color_photos, code=1)
    assert "mobilenet_v2 is not a bundle" in refused("mobilenet_v2", "--photos", color_photos)
    assert "Add --photos PHOTOS" in refused(older, color_bundle, "--split", "test")
    assert "--plot is for networks" in refused(older, color_bundle, "--plot", "p.svg")
    assert "no such folder" in refused(older, color_bundle, "--photos", color_photos / "gone")
    greens = write_color_bundle(older.parent / "greens", labels=("green", "blue"))
    for name in ("green", "blue"):
        shutil.rmtree(color_photos / name)
    message = refused(greens, older, "--photos", color_photos)
    assert "their common classes: blue" in message
    (color_photos / "red").rename(color_photos / "rouge")
    assert "has class 'rouge'" in refused(greens, older, "--photos", color_photos)


def test_damaged_and_newer_bundles_are_named(
    lungfish: Run, older: Path, color_bundle: Path, rewrite: Callable[..., None]
) -> None:
    (older / "labels.txt").write_text("red")
    outcome = lungfish("compare", color_bundle, older)
    assert (outcome.code, f"{older}: labels.txt has 3 bytes" in outcome.err) == (1, True)
    rewrite(older, lambda manifest: manifest.update(schema=99))
    outcome = lungfish("compare", color_bundle, older)
    assert (outcome.code, f"{older}: bundle.json has schema 99" in outcome.err) == (1, True)
