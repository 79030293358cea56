"""Photos to a bundle, and the bundle at work, as a person does it."""

import csv
import html
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.training.trunk import OnnxTrunk

from ..tiny import ARCH

Run = Callable[..., Any]
Untouched = Callable[[Path], AbstractContextManager[None]]
Bytes = Callable[[Path], dict[str, bytes]]

KEYS = {  # of the contract in docs and scripts: more may come, none may go
    "train": "bundle arch weights recipe classes counts test val artifacts default seconds skipped warnings"
    " peak_rss_bytes candidates notes val_given cross_validation cross_validated thresholds known_threshold",
    "artifact": "file format precision bytes sha256 top1 ci95 agreement_with_fp32 latency_ms status why",
    "bundle.json": "schema lungfish created seed packages architecture flavour weights labels thresholds temperature"
    " preprocess data artifacts default test val machine",
    "bundle": "bundle.json model.onnx model-int8.onnx weights.safetensors labels.txt report.html MODEL_CARD.md NOTICE"
    " recipe.toml photos.csv golden",
    "metrics": "top1 macro_f1 ece ci95 n",
    "dry run": "dry_run bundle arch weights recipe classes counts skipped leaks warnings problems cached"
    " estimate_seconds",
}
STEPS = "Reading photos from .*|Fitting the head|probe: .* validation photos right, .*|Exporting and quantizing"
COUNTS = r"(photos|Measuring the artifacts|Evaluating): [\d,]+ (to do|in [\d.]+ s|of [\d,]+, .*left)"


def keys(what: str) -> set[str]:
    return set(KEYS[what].split())


def rows_of(bundle: Path) -> list[dict[str, str]]:
    with (bundle / "photos.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_progress(err: str) -> None:
    """Nothing but progress: no warning of a library, no log line."""
    assert err
    for line in err.splitlines():
        assert re.fullmatch(f"{STEPS}|{COUNTS}", line), line


# ---- train


def test_json_of_train(trained: Any) -> None:
    value = trained.ended.json  # one JSON value, and nothing else on stdout
    assert set(value) >= keys("train")
    assert_progress(trained.ended.err)
    assert value["bundle"] == str(trained.bundle)
    assert (value["arch"], value["weights"], value["recipe"]) == (ARCH, "bundle:tiny", "probe")
    assert value["classes"] == ["0", "1", "2"]
    assert sum(value["counts"].values()) == 60
    assert min(value["counts"].values()) >= 3
    assert value["skipped"] == [{"file": "1/broken.jpg", "reason": "not a picture (JPEG, PNG, WebP, BMP, GIF or TIFF)"}]
    assert value["warnings"] == []
    for split in ("test", "val"):
        assert set(value[split]) >= keys("metrics")
        assert value[split]["n"] == value["counts"][split]
    assert value["test"]["top1"] >= 0.8
    assert set(value["seconds"]) >= {"total"}
    assert value["seconds"]["total"] >= sum(v for k, v in value["seconds"].items() if k != "total") - 0.1
    assert 10**8 < value["peak_rss_bytes"] < 4 * 10**9
    assert value["candidates"][0]["arch"] == ARCH


def test_artifacts_of_train(trained: Any) -> None:
    value = trained.ended.json
    rows = {row["file"]: row for row in value["artifacts"]}
    assert [row["precision"] for row in rows.values()] == ["fp32", "int8"]
    for file, row in rows.items():
        assert set(row) >= keys("artifact")
        assert row["bytes"] == (trained.bundle / file).stat().st_size
        assert row["status"] in ("pass", "fail")
        assert row["latency_ms"]["p95"] >= row["latency_ms"]["p50"] > 0
        assert row["latency_ms"]["threads"] >= 1
        assert row["latency_ms"]["runtime"].startswith("onnxruntime ")
        low, high = row["ci95"]
        assert 0 <= low <= row["top1"] <= high <= 1
    passing = [row for row in rows.values() if row["status"] == "pass"]
    assert value["default"] == min(passing, key=lambda row: row["bytes"])["file"]
    assert value["test"]["top1"] == pytest.approx(rows[value["default"]]["top1"], abs=1e-6)
    assert rows["model-int8.onnx"]["bytes"] < 0.4 * rows["model.onnx"]["bytes"]


def test_what_a_bundle_holds(trained: Any) -> None:
    assert {path.name for path in trained.bundle.iterdir()} >= keys("bundle")
    manifest = json.loads((trained.bundle / "bundle.json").read_text(encoding="utf-8"))
    assert set(manifest) >= keys("bundle.json")
    assert manifest["labels"] == (trained.bundle / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert manifest["artifacts"] == trained.ended.json["artifacts"]
    assert (manifest["test"], manifest["val"]) == (trained.ended.json["test"], trained.ended.json["val"])
    assert manifest["data"]["counts"] == trained.ended.json["counts"]
    listed = set(manifest["files"]) | {name for row in manifest["artifacts"] for name in row["files"]} | {"bundle.json"}
    there = {path.relative_to(trained.bundle).as_posix() for path in trained.bundle.rglob("*") if path.is_file()}
    assert listed == there


def test_no_path_of_this_machine_is_in_it(trained: Any) -> None:
    for path in trained.bundle.rglob("*"):
        if path.is_file():
            assert str(trained.bundle.parent).encode() not in path.read_bytes(), path.name
            assert str(Path.home()).encode() + b"/" not in path.read_bytes(), path.name


def test_photos_csv_names_every_file_once(trained: Any) -> None:
    rows = rows_of(trained.bundle)
    names = [row["file"] for row in rows]
    files = [path.relative_to(trained.photos).as_posix() for path in trained.photos.rglob("*.*")]
    assert sorted(names) == sorted(files)
    assert Counter(row["split"] for row in rows if row["split"]) == trained.ended.json["counts"]
    (skipped,) = (row for row in rows if not row["split"])
    assert (skipped["file"], skipped["sha256"]) == ("1/broken.jpg", "")
    assert "not a picture" in skipped["reason"]


def test_nothing_is_left_beside_it(trained: Any) -> None:
    assert {path.name for path in trained.bundle.parent.iterdir()} == {"digits", "digits-bundle", "cache"}


def test_the_report_is_one_page_that_loads_nothing(trained: Any) -> None:
    page = html.unescape((trained.bundle / "report.html").read_text(encoding="utf-8"))
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "5-fold" in page or "5 folds" in page  # fewer than 1,000 photos
    assert "broken.jpg" in page
    for row in trained.ended.json["artifacts"]:
        assert row["file"] in page


# ---- the same again


def test_the_same_photos_under_another_name_give_the_same_models_and_the_trunk_rests(
    trained: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_bytes: Bytes
) -> None:
    shutil.copytree(trained.cache, cache)
    shutil.copytree(trained.photos, tmp_path / "renamed")

    def busy(self: object, pixels: object) -> None:
        raise AssertionError("features that are in the cache were computed again")

    monkeypatch.setattr(OnnxTrunk, "__call__", busy)
    recipe = lf.Recipe(name="probe")
    result = lf.train(tmp_path / "renamed", tmp_path / "bundle", weights=str(trained.weights), recipe=recipe, seed=0)
    assert model_bytes(tmp_path / "bundle") == model_bytes(trained.bundle)
    assert set(result.to_json()) == set(trained.ended.json)
    value = json.loads(json.dumps(result.to_json()))
    for key in ("classes", "counts", "test", "val", "default", "thresholds", "known_threshold", "skipped", "leaks"):
        assert value[key] == trained.ended.json[key], key
    assert {key for row in value["candidates"] for key in row} == {
        key for row in trained.ended.json["candidates"] for key in row
    }
    assert value["bundle"] == str(result.folder) == str(tmp_path / "bundle")
    assert round(result.test.top1, 6) == value["test"]["top1"]
    assert [row.to_json()["top1"] for row in result.artifacts] == [row["top1"] for row in value["artifacts"]]
    assert result.bundle.labels == result.classes
    assert repr(result).startswith(f"<TrainResult bundle: {100 * result.test.top1:.1f} % of ")
    one, two = (json.loads((b / "bundle.json").read_text()) for b in (tmp_path / "bundle", trained.bundle))
    assert one["data"] == two["data"]


def test_without_a_cache_in_another_folder_and_in_words(
    trained: Any, command: Run, tmp_path: Path, model_bytes: Bytes
) -> None:
    shutil.copytree(trained.photos, tmp_path / "ciphers")
    ended = command(
        *("train", tmp_path / "ciphers", "--weights", trained.weights, "--recipe", "probe"),
        cache=tmp_path / "cold",
        cwd=tmp_path,
    )
    assert ended.code == 0
    assert_progress(ended.err)
    assert model_bytes(tmp_path / "ciphers-bundle") == model_bytes(trained.bundle)
    value = trained.ended.json
    assert "3 classes; photos: " in ended.out
    assert f"{value['default']} *" in ended.out
    assert f"{value['test']['top1']:.4f}" in ended.out
    assert "ciphers-bundle/report.html" in ended.out
    assert "1 file skipped" in ended.out


def test_saved_sides_are_kept(trained: Any, cache: Path, tmp_path: Path) -> None:
    """Also where they are not those of the content hashes, and under new names; new photos find their own."""
    shutil.copytree(trained.cache, cache)
    photos = tmp_path / "photos"
    shutil.copytree(trained.photos, photos)
    rows = rows_of(trained.bundle)
    for row in rows:
        row["split"] = {"train": "train", "val": "test", "test": "val"}.get(row["split"], "")
    (photos / "0" / "0000.png").rename(photos / "0" / "zero.png")
    shutil.copy(trained.bundle / "golden" / "rings.png", photos / "2" / "new.png")
    with (tmp_path / "photos.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    lf.train(photos, tmp_path / "bundle", weights=str(trained.weights), recipe="probe", split=tmp_path / "photos.csv")
    before = {row["sha256"]: row["split"] for row in rows if row["split"]}
    after = {row["sha256"]: row for row in rows_of(tmp_path / "bundle") if row["split"]}
    assert {sha256: after[sha256]["split"] for sha256 in before} == before
    assert {after[sha256]["reason"] for sha256 in before} == {"saved"}
    (new,) = (row for sha256, row in after.items() if sha256 not in before)
    assert (new["file"], new["reason"]) == ("2/new.png", "content hash")


def test_a_split_that_cannot_be_read(trained: Any, lungfish: Run, tmp_path: Path) -> None:
    for file, words in (
        (tmp_path / "gone.csv", "cannot read the split"),
        (trained.bundle / "NOTICE", "not a saved split"),
    ):
        ended = lungfish("train", trained.photos, "--out", tmp_path / "bundle", "--split", file)
        assert ended.code == 2
        assert words in ended.err
        assert "photos.csv of a bundle" in ended.err


# ---- dry run


def test_a_dry_run_tells_and_writes_nothing(
    trained: Any, command: Run, cache: Path, tmp_path: Path, untouched: Untouched
) -> None:
    shutil.copytree(trained.cache, cache)
    with untouched(tmp_path), untouched(trained.photos.parent):
        ended = command(
            *("train", trained.photos, "--dry-run", "--json", "--weights", trained.weights, "--recipe", "probe"),
            cache=cache,
            cwd=tmp_path,
        )
    assert ended.code == 0
    assert_progress(ended.err)
    plan, value = ended.json, trained.ended.json
    assert set(plan) >= keys("dry run")
    assert plan["dry_run"] is True
    assert plan["bundle"] == str(tmp_path / "digits-bundle")
    for key in ("arch", "weights", "recipe", "counts", "skipped", "warnings"):
        assert plan[key] == value[key], key
    assert list(plan["classes"]) == value["classes"]
    assert {split: sum(row[split] for row in plan["classes"].values()) for split in plan["counts"]} == plan["counts"]
    assert plan["leaks"] == []
    assert plan["cached"] == 60
    assert 1 < plan["estimate_seconds"] < 300


def test_a_dry_run_in_words(trained: Any, lungfish: Run, tmp_path: Path) -> None:
    photos = tmp_path / "split"
    shutil.copytree(trained.photos, photos / "train")
    for label, file in (("0", "0000.png"), ("1", "0001.png"), ("2", "0002.png")):
        (photos / "test" / label).mkdir(parents=True)
        shutil.copy(trained.photos / label / file, photos / "test" / label / "copy.png")
    ended = lungfish("train", photos, "--out", tmp_path / "bundle", "--dry-run", "--weights", trained.weights)
    assert ended.code == 0
    assert re.search(r"^class +train +val +test$", ended.out, re.MULTILINE)
    assert re.search(r"^2( +\d+){3}$", ended.out, re.MULTILINE)
    assert "skipped: train/1/broken.jpg: not a picture" in ended.out
    assert "test/0/copy.png (test)" in ended.out
    assert ended.out.count("train/0/0000.png") == 1  # told once
    assert re.search(r"^takes about \d+ s on this machine\nwrites .*bundle$", ended.out, re.MULTILINE)
    assert not (tmp_path / "bundle").exists()


# ---- the bundle at work


def test_predict(trained: Any, command: Run, cache: Path) -> None:
    pictures = [trained.photos / "2" / "0002.png", trained.photos / "1" / "broken.jpg", trained.photos / "0"]
    ended = command("predict", trained.bundle, *pictures, cache=cache)
    assert ended.code == 1  # the broken one
    assert ended.err == ""
    lines = [line.split("\t") for line in ended.out.splitlines()]
    files = sorted(map(str, (trained.photos / "0").iterdir()))
    assert [line[0] for line in lines] == [*map(str, pictures[:2]), *files]
    assert lines.pop(1)[1:] == ["-", "-", "error: not a picture (JPEG, PNG, WebP, BMP, GIF or TIFF)"]
    right = sum(line[1] == Path(line[0]).parent.name for line in lines)
    assert right >= 19
    assert all(0 <= float(line[2]) <= 1 for line in lines)


def test_json_of_predict(trained: Any, command: Run, cache: Path) -> None:
    pictures = [trained.photos / "2" / "0002.png", trained.photos / "1" / "broken.jpg"]
    ended = command("predict", trained.bundle, *pictures, "--json", "--artifact", "model.onnx", cache=cache)
    assert (ended.code, ended.err) == (1, "")
    good, bad = ended.json
    assert set(good) == set(bad) == {"file", "label", "probability", "known", "top", "error"}
    assert (good["label"], good["error"]) == ("2", None)
    assert [set(each) for each in good["top"]] == [{"label", "probability"}] * 3
    assert sum(each["probability"] for each in good["top"]) == pytest.approx(1, abs=1e-3)
    threshold = json.loads((trained.bundle / "bundle.json").read_text())["thresholds"]["known"]
    assert good["known"] is (good["probability"] >= threshold)
    assert (bad["label"], bad["known"], bad["top"]) == (None, None, [])
    assert "not a picture" in bad["error"]


def test_evaluate_finds_the_figures_that_train_reported(
    trained: Any, command: Run, cache: Path, tmp_path: Path
) -> None:
    for row in rows_of(trained.bundle):
        if row["split"] == "test":
            (tmp_path / "test" / row["label"]).mkdir(parents=True, exist_ok=True)
            shutil.copy(trained.photos / row["file"], tmp_path / "test" / row["label"])
    ended = command("evaluate", trained.bundle, tmp_path / "test", "--json", cache=cache)
    assert ended.code == 0
    assert_progress(ended.err)
    value = ended.json
    assert set(value) >= {"artifacts", "confusion", "per_class"}
    for got, reported in zip(value["artifacts"], trained.ended.json["artifacts"], strict=True):
        assert set(got) >= {"file"} | keys("metrics")
        assert got["file"] == reported["file"]
        assert got["top1"] == pytest.approx(reported["top1"], abs=1e-6)
        assert got["n"] == trained.ended.json["test"]["n"]
    assert sum(map(sum, value["confusion"])) == value["artifacts"][0]["n"]
    assert [row["label"] for row in value["per_class"]] == trained.ended.json["classes"]


def test_doctor(command: Run, cache: Path) -> None:
    ended = command("doctor", "--json", cache=cache)
    assert ended.code == (0 if ended.json["ok"] else 3)
    assert set(ended.json) >= {"python", "packages", "runtimes", "machine", "ok"}
    assert ended.err == ""
