import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lungfish.core.hashing import sha256_file
from lungfish.data.split.photos_csv import SplitRow, read_split, write_split

Run = Callable[..., Any]
UNLISTED = "the bundle does not list its training photos; if they are among these, figures are too optimistic"


@pytest.fixture
def mistaken_photos(color_photos: Path) -> Path:
    """Nine photos of which one red one is filed under blue: top-1 is 9 of 10."""
    shutil.copy(color_photos / "red" / "0.png", color_photos / "blue" / "9.png")
    return color_photos


def test_figures_of_each_artifact(
    lungfish: Run,
    write_color_bundle: Callable[..., Path],
    color_model: Callable[..., Any],
    mistaken_photos: Path,
    tmp_path: Path,
) -> None:
    models = {
        "model.onnx": color_model().SerializeToString(),
        "inverted.onnx": color_model(sharpness=-0.02).SerializeToString(),
    }
    bundle = write_color_bundle(tmp_path / "two", models=models)
    value = lungfish("evaluate", bundle, mistaken_photos, "--json").json
    right, wrong = value["artifacts"]
    assert (right["file"], right["top1"], right["n"]) == ("model.onnx", 0.9, 10)
    assert right["ci95"] == pytest.approx([0.5958, 0.9821], abs=1e-4)  # Wilson, 9 of 10
    assert (wrong["file"], wrong["top1"] < 0.2) == ("inverted.onnx", True)
    assert value["labels"] == ["red", "green", "blue"]
    assert value["confusion"] == [[3, 0, 0], [0, 3, 0], [1, 0, 3]]
    assert [row["recall"] for row in value["per_class"]] == [1, 1, 0.75]
    assert (value["split"], value["default"], value["failed"]) == ("all", "model.onnx", [])


def test_classes_are_matched_by_name_not_by_position(
    lungfish: Run, write_color_bundle: Callable[..., Path], color_photos: Path, tmp_path: Path
) -> None:
    for order in (("red", "green", "blue"), ("blue", "red", "green")):
        bundle = write_color_bundle(tmp_path / "-".join(order), labels=order)
        value = lungfish("evaluate", bundle, color_photos, "--json").json
        assert value["artifacts"][0]["top1"] == 1
        assert value["labels"] == list(order)


def test_other_classes_are_refused_by_name(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    (color_photos / "red").rename(color_photos / "rouge")
    outcome = lungfish("evaluate", color_bundle, color_photos)
    assert outcome.code == 2
    assert "has no class 'rouge'; there are no photos of 'red'" in outcome.err


def test_absent_classes_are_named_and_left_out(lungfish: Run, color_bundle: Path, mistaken_photos: Path) -> None:
    shutil.rmtree(mistaken_photos / "green")
    outcome = lungfish("evaluate", color_bundle, mistaken_photos, "--json")
    value = outcome.json
    assert (outcome.code, value["absent"], value["labels"]) == (0, ["green"], ["red", "green", "blue"])
    assert value["warnings"] == ["no photos of 'green' here; measured the other 2 classes", UNLISTED]
    assert value["confusion"] == [[3, 0, 0], [0, 0, 0], [1, 0, 3]]
    green = value["per_class"][1]
    assert green == {"label": "green", "precision": None, "recall": None, "f1": None, "n": 0, "ci95": None}
    row = value["artifacts"][0]
    assert (row["top1"], row["n"]) == (pytest.approx(6 / 7, abs=1e-6), 7)
    assert row["macro_f1"] == pytest.approx(6 / 7, abs=1e-6)  # of red (3 found, 1 too many) and blue (3 of 4): 6/7 each
    assert "green          -       -       -       0" in lungfish("evaluate", color_bundle, mistaken_photos).out


def test_one_class_alone_is_measured(lungfish: Run, color_bundle: Path, mistaken_photos: Path) -> None:
    for name in ("red", "green"):
        shutil.rmtree(mistaken_photos / name)
    (mistaken_photos / "blue" / "deep").mkdir()  # its own folders look like classes, but the bundle knows it
    (mistaken_photos / "blue" / "light").mkdir()
    value = lungfish("evaluate", color_bundle, mistaken_photos, "--json").json
    assert value["artifacts"][0]["top1"] == 0.75
    assert value["absent"] == ["red", "green"]
    assert value["warnings"][-2:] == ["no photos of 'red' and 'green' here; measured the other 1 class", UNLISTED]


def test_one_class_that_the_bundle_does_not_know(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    for name in ("green", "blue"):
        shutil.rmtree(color_photos / name)
    (color_photos / "red").rename(color_photos / "rouge")
    outcome = lungfish("evaluate", color_bundle, color_photos)
    assert outcome.code == 2
    assert "has no class 'rouge'; there are no photos of 'blue', 'green', 'red'" in outcome.err
    assert "at least two" not in outcome.err


def test_a_table_for_people(lungfish: Run, color_bundle: Path, mistaken_photos: Path) -> None:
    outcome = lungfish("evaluate", color_bundle, mistaken_photos)
    assert outcome.code == 0
    assert "model.onnx *  0.9000  0.5958 to 0.9821" in outcome.out
    assert "split: all" in outcome.out


def test_gates(
    lungfish: Run,
    write_color_bundle: Callable[..., Path],
    color_model: Callable[..., Any],
    color_bundle: Path,
    mistaken_photos: Path,
    tmp_path: Path,
) -> None:
    assert lungfish("evaluate", color_bundle, mistaken_photos, "--min-top1", 0.9).code == 0
    outcome = lungfish("evaluate", color_bundle, mistaken_photos, "--min-top1", 0.91)
    assert outcome.code == 1
    assert "failed: top-1 is 0.9000; at least 0.9100 is required" in outcome.err

    worse = write_color_bundle(
        tmp_path / "worse", models={"model.onnx": color_model(sharpness=-0.02).SerializeToString()}
    )
    assert lungfish("evaluate", color_bundle, mistaken_photos, "--baseline", worse).code == 0
    assert lungfish("evaluate", color_bundle, mistaken_photos, "--baseline", color_bundle).code == 0
    outcome = lungfish("evaluate", worse, mistaken_photos, "--baseline", color_bundle, "--json")
    assert outcome.code == 1
    assert outcome.json["baseline"]["top1"] == 0.9
    assert "the baseline has 0.9000" in outcome.json["failed"][0]
    assert lungfish("evaluate", color_bundle, mistaken_photos, "--min-top1", 90).code == 2


def test_splits(lungfish: Run, color_bundle: Path, color_photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "splits"
    for split in ("train", "test"):
        shutil.copytree(color_photos, root / split)
    Image.new("RGB", (9, 9), "red").save(root / "train" / "green" / "wrong.png")
    assert lungfish("evaluate", color_bundle, root, "--json").json["artifacts"][0]["n"] == 9
    value = lungfish("evaluate", color_bundle, root, "--split", "train", "--json").json
    assert (value["split"], value["artifacts"][0]["top1"]) == ("train", 0.9)
    assert lungfish("evaluate", color_bundle, root, "--split", "all", "--json").json["artifacts"][0]["n"] == 19
    outcome = lungfish("evaluate", color_bundle, root, "--split", "val")
    assert outcome.code == 2
    assert "no val split, only test, train" in outcome.err
    outcome = lungfish("evaluate", color_bundle, root, "--split", "tset")
    assert outcome.code == 2
    assert "Did you mean test?" in outcome.err
    outcome = lungfish("evaluate", color_bundle, color_photos, "--split", "test")
    assert outcome.code == 2
    assert "no splits" in outcome.err


@pytest.fixture
def with_photos_csv(color_bundle: Path, color_photos: Path, rewrite: Callable[..., None]) -> Path:
    """The bundle, made from the photos: the one called 0 of each class tested it, the others trained it."""
    rows = [
        SplitRow(sha256_file(path), f"elsewhere/{path.name}", path.parent.name, split, "")
        for path in sorted(color_photos.rglob("*.png"))
        for split in ("test" if path.name == "0.png" else "train",)
    ]
    file = color_bundle / "photos.csv"
    write_split(file, rows)
    row = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
    rewrite(color_bundle, lambda manifest: manifest["files"].update({"photos.csv": row}))
    return color_bundle


def test_photos_that_were_trained_on_are_counted(lungfish: Run, with_photos_csv: Path, color_photos: Path) -> None:
    Image.new("RGB", (7, 7), "red").save(color_photos / "red" / "new.png")
    outcome = lungfish("evaluate", with_photos_csv, color_photos)
    assert "warning: 6 of 10 photos were trained on, so the figures are too optimistic" in outcome.err
    value = lungfish("evaluate", with_photos_csv, color_photos, "--json").json
    assert (value["seen_in_training"], value["split"]) == (6, "all")
    for name in ("red", "green", "blue"):
        (color_photos / name / "1.png").unlink()
        (color_photos / name / "2.png").unlink()
    value = lungfish("evaluate", with_photos_csv, color_photos, "--json").json
    assert (value["seen_in_training"], value["warnings"]) == (0, [])


def test_the_bundles_own_split_by_content(lungfish: Run, with_photos_csv: Path, color_photos: Path) -> None:
    (color_photos / "red" / "0.png").rename(color_photos / "red" / "renamed.png")
    for split, count, seen in (("test", 3, 0), ("train", 6, 6)):
        value = lungfish("evaluate", with_photos_csv, color_photos, "--split", split, "--json").json
        assert (value["split"], value["artifacts"][0]["n"], value["seen_in_training"]) == (split, count, seen)
    outcome = lungfish("evaluate", with_photos_csv, color_photos, "--split", "val")
    assert outcome.code == 2
    assert "the photos have no splits, and none of them is a val photo of the bundle" in outcome.err


def test_bad_photos_are_skipped_and_named(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    (color_photos / "red" / "bad.jpg").write_text("hello")
    value = lungfish("evaluate", color_bundle, color_photos, "--json").json
    assert value["artifacts"][0]["n"] == 9
    (skipped,) = value["skipped"]
    assert skipped["file"] == "red/bad.jpg"
    assert "not a picture" in skipped["reason"]
    assert "skipped red/bad.jpg: not a picture" in lungfish("evaluate", color_bundle, color_photos).err


def test_no_photo_can_be_read(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    for photo in color_photos.rglob("*.png"):
        photo.write_text("hello")
    outcome = lungfish("evaluate", color_bundle, color_photos)
    assert outcome.code == 2
    assert "none of the 9 photos can be read" in outcome.err


def test_no_such_places(lungfish: Run, color_bundle: Path, color_photos: Path, tmp_path: Path) -> None:
    assert lungfish("evaluate", tmp_path / "gone", color_photos).code == 2
    assert lungfish("evaluate", color_bundle, tmp_path / "gone").code == 2
    assert lungfish("evaluate", color_bundle, color_photos, "--baseline", tmp_path / "gone").code == 2


def test_a_bundle_that_lacks_a_file_is_not_evaluated(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    (color_bundle / "golden" / "note.txt").unlink()
    assert lungfish("predict", color_bundle, color_photos / "red").code == 0
    outcome = lungfish("evaluate", color_bundle, color_photos)
    assert outcome.code == 1
    assert "golden/note.txt is missing" in outcome.err


def test_a_copy_that_was_trained_on_counts_though_another_was_tested(
    lungfish: Run, with_photos_csv: Path, color_photos: Path, rewrite: Callable[..., None]
) -> None:
    """Its row for the test side comes first."""
    file = with_photos_csv / "photos.csv"
    rows = read_split(file)
    write_split(file, [replace(row, file=f"a/{row.file}", split="test") for row in rows] + rows)
    row = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
    rewrite(with_photos_csv, lambda manifest: manifest["files"].update({"photos.csv": row}))
    assert lungfish("evaluate", with_photos_csv, color_photos, "--json").json["seen_in_training"] == 6


def test_a_baseline_without_one_of_the_classes(
    lungfish: Run, write_color_bundle: Callable[..., Path], color_bundle: Path, mistaken_photos: Path, tmp_path: Path
) -> None:
    older = write_color_bundle(tmp_path / "older", labels=("blue", "red"))
    value = lungfish("evaluate", color_bundle, mistaken_photos, "--baseline", older, "--json").json
    assert (value["artifacts"][0]["n"], value["baseline"]["n"]) == (10, 7)
    changed = value["what_changed"]
    assert (changed["added"], changed["removed"], changed["left_out"]["other_classes"]) == (["green"], [], 3)
    rows = [(row["label"], row["n"], row["both_right"]) for row in changed["classes"]]
    assert rows == [("red", 3, 3), ("blue", 4, 3)]
    outcome = lungfish("evaluate", color_bundle, mistaken_photos, "--baseline", older)
    assert outcome.code == 0
    assert "Inconclusive: the new bundle gets 6 of 7 photos right (85.7 %), older 6 (85.7 %)" in outcome.out.replace(
        "\xa0", " "
    )
    other = write_color_bundle(tmp_path / "other", labels=("green", "blue"))
    for name in ("green", "blue"):
        shutil.rmtree(mistaken_photos / name)
    outcome = lungfish("evaluate", color_bundle, mistaken_photos, "--baseline", other)
    assert outcome.code == 2
    assert "their common classes: green, blue" in outcome.err


def test_no_class_worse(
    lungfish: Run,
    write_color_bundle: Callable[..., Path],
    color_model: Callable[..., Any],
    color_bundle: Path,
    color_photos: Path,
    tmp_path: Path,
) -> None:
    for index in range(20):
        Image.new("RGB", (20, 40 + index), "red").save(color_photos / "red" / f"more-{index}.png")
    inverted = {"model.onnx": color_model(sharpness=-0.02).SerializeToString()}
    worse = write_color_bundle(tmp_path / "worse", models=inverted)
    gates = ("--baseline", color_bundle, "--no-class-worse")
    assert lungfish("evaluate", color_bundle, color_photos, *gates).code == 0
    assert lungfish("evaluate", color_bundle, color_photos, "--baseline", worse, "--no-class-worse").code == 0
    outcome = lungfish("evaluate", worse, color_photos, *gates)
    assert outcome.code == 1
    assert "failed: red is worse: 0 of 23 photos right, 23 with the baseline (23 lost, 0 gained; p < " in outcome.err
    assert "failed: blue is worse: 0 of 3 photos right" in outcome.err  # fell by more than 50 points
    assert "red        23         23          0    23       0  -100.0" in outcome.out

    for name in ("1", "2"):
        (color_photos / "blue" / f"{name}.png").unlink()
    outcome = lungfish("evaluate", worse, color_photos, *gates)
    assert "blue is worse" not in outcome.err
    assert "--no-class-worse cannot judge classes with under 3 photos new to both bundles: blue (1)" in outcome.err

    outcome = lungfish("evaluate", worse, color_photos, "--no-class-worse")
    assert outcome.code == 2
    assert "Add --baseline BUNDLE." in outcome.err


def test_photos_that_either_bundle_was_trained_on_prove_nothing(
    lungfish: Run, with_photos_csv: Path, write_color_bundle: Callable[..., Path], color_photos: Path, tmp_path: Path
) -> None:
    other = write_color_bundle(tmp_path / "other")
    for pair in ((other, with_photos_csv), (with_photos_csv, other)):
        value = lungfish("evaluate", pair[0], color_photos, "--baseline", pair[1], "--json").json
        assert value["artifacts"][0]["n"] == 9
        changed = value["what_changed"]
        assert (changed["overall"]["n"], changed["left_out"]["trained_on"], changed["unlisted"]) == (3, 6, ["other"])
    gates = ("--baseline", other, "--no-class-worse", "--split", "train")
    outcome = lungfish("evaluate", with_photos_csv, color_photos, *gates)
    assert outcome.code == 2
    assert "no class can be judged: no photo is new to both bundles" in outcome.err


def test_a_damaged_baseline_is_named(lungfish: Run, color_bundle: Path, color_photos: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(color_bundle, broken)
    (broken / "labels.txt").write_text("red")
    outcome = lungfish("evaluate", color_bundle, color_photos, "--baseline", broken)
    assert outcome.code == 1
    assert f"{broken}: labels.txt has 3 bytes" in outcome.err
