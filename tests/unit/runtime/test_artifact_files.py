"""An artifact of several files, in a format that only these tests have: an ONNX file that was cut in two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import BundleError, UsageError
from lungfish.core.progress import Progress
from lungfish.deploy.proof import LabelledPhotos, artifact_rows, prove
from lungfish.exporters.artifact import Artifact
from lungfish.runtime.artifact import MAX_MODEL_FILES
from lungfish.runtime.bundle import load
from lungfish.runtime.bundle_files import check_files, delete_bundle, foreign_files, listed_files, read_manifest
from lungfish.runtime.engines import table
from lungfish.runtime.engines.engine import Engine, ModelFiles
from lungfish.runtime.engines.onnx.engine import OnnxEngine
from lungfish.runtime.engines.table import EngineRow, runnable_formats
from lungfish.runtime.preprocessing import Preprocessing

Rewrite = Callable[[Path, Callable[[dict[str, Any]], None]], None]
FILES = ("model.halves", "halves/second.bin")
HASH = "0" * 64
RED = Image.new("RGB", (9, 9), "red")


def open_halves(files: ModelFiles, threads: int | None) -> Engine:
    return OnnxEngine(files.main + files.contents[FILES[1]], threads)


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format that is one row in the table."""
    monkeypatch.setitem(table.ENGINES, "halves", EngineRow("onnxruntime", open_halves, lambda: ["cpu"]))


def write_halves(folder: Path, data: bytes) -> Artifact:
    (folder / "halves").mkdir(parents=True)
    for name, part in zip(FILES, (data[:100], data[100:]), strict=True):
        (folder / name).write_bytes(part)
    return Artifact(folder, "halves", "fp32", FILES)


@pytest.fixture
def bundle(color_bundle: Path, color_model: Callable[..., Any], rewrite: Rewrite) -> Path:
    """The color bundle, with its model in two files."""
    artifact = write_halves(color_bundle, color_model().SerializeToString())
    (color_bundle / "model.onnx").unlink()
    row = artifact.row().to_json()
    rewrite(color_bundle, lambda manifest: manifest.update(artifacts=[row], default=FILES[0]))
    return color_bundle


# ---- one more format


@pytest.mark.usefixtures("halves")
def test_a_format_is_one_row(bundle: Path, color_photos: Path, lungfish: Callable[..., Any]) -> None:
    assert runnable_formats() == ("onnx", "halves")
    assert load(bundle).predict([RED])[0].label == "red"
    (row,) = lungfish("evaluate", bundle, color_photos, "--json").json["artifacts"]
    assert (row["file"], row["top1"]) == ("model.halves", 1)
    (prediction,) = lungfish("predict", bundle, color_photos / "blue" / "0.png", "--artifact", FILES[0], "--json").json
    assert prediction["label"] == "blue"


@pytest.mark.usefixtures("halves")
def test_it_is_proven_as_others_are(color_model: Callable[..., Any], tmp_path: Path) -> None:
    data = color_model().SerializeToString()
    artifact = write_halves(tmp_path, data)
    assert artifact.open(threads=1).run(np.zeros((2, 8, 8, 3), np.uint8)).shape == (2, 3)
    photos = LabelledPhotos([(tmp_path / "red.png").read_bytes], np.array([0]))
    RED.save(tmp_path / "red.png")
    proofs = prove([artifact], photos, photos, Preprocessing(8, crop_fraction=1.0), Progress())
    (row,) = artifact_rows([artifact], proofs, 0.01)
    assert (row.file, row.top1, row.status) == ("model.halves", 1, "pass")
    assert row.bytes == len(data)
    assert [row.files[name].bytes for name in FILES] == [100, len(data) - 100]


def test_without_the_row_it_is_not_run_and_not_measured(
    bundle: Path, color_model: Callable[..., Any], rewrite: Rewrite, color_photos: Path, lungfish: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError, match=r"model\.halves has the format halves; this installation runs onnx\n"):
        load(bundle).predict([RED])
    (bundle / "model.onnx").write_bytes(color_model().SerializeToString())
    row = Artifact(bundle, "onnx", "fp32", ("model.onnx",)).row().to_json()
    rewrite(bundle, lambda manifest: manifest.update(artifacts=[*manifest["artifacts"], row], default="model.onnx"))
    measured = lungfish("evaluate", bundle, color_photos, "--json").json["artifacts"]
    assert [each["file"] for each in measured] == ["model.onnx"]


def test_an_engine_that_is_not_installed_is_not_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.ENGINES, "other", EngineRow("no_such_engine", open_halves, list))
    assert runnable_formats() == ("onnx",)


def test_files_that_vanish_while_a_job_runs(tmp_path: Path, color_model: Callable[..., Any]) -> None:
    artifact = write_halves(tmp_path, color_model().SerializeToString())
    (tmp_path / FILES[1]).unlink()
    with pytest.raises(BundleError, match=r"cannot read halves/second\.bin: No such file"):
        artifact.open()


# ---- checked, listed and deleted as one


def test_every_file_is_listed_and_deleted(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert set(FILES) < set(listed_files(manifest))
    assert foreign_files(bundle, manifest) == []
    (bundle / FILES[1]).write_bytes(b"mine")
    assert foreign_files(bundle, manifest) == [FILES[1]]
    delete_bundle(bundle, manifest)
    assert not bundle.exists()


@pytest.mark.usefixtures("halves")
def test_the_default_artifact_is_whole_also_in_a_slim_bundle(bundle: Path) -> None:
    (bundle / "labels.txt").unlink()
    assert load(bundle).predict([RED])[0].label == "red"
    (bundle / FILES[1]).unlink()
    with pytest.raises(BundleError, match=r"halves/second\.bin is missing"):
        load(bundle)


@pytest.mark.usefixtures("halves")
def test_a_second_file_that_is_altered_truncated_or_a_link(bundle: Path, tmp_path: Path) -> None:
    opened, file = load(bundle), bundle / FILES[1]
    whole = file.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-1], whole + b"x"):
        file.write_bytes(damaged)
        with pytest.raises(BundleError, match=r"halves/second\.bin (was altered|has)"):
            load(bundle)
        with pytest.raises(BundleError, match=r"halves/second\.bin was altered"):
            opened.predict([RED])
    (tmp_path / "outside.bin").write_bytes(whole)
    file.unlink()
    try:
        file.symlink_to(tmp_path / "outside.bin")
    except OSError:
        pytest.skip("this system does not let us make links")
    with pytest.raises(BundleError, match=r"halves/second\.bin is a link"):
        opened.predict([RED])


def test_an_onnx_file_comes_alone(bundle: Path, rewrite: Rewrite) -> None:
    rewrite(bundle, lambda manifest: manifest["artifacts"][0].update(format="onnx"))
    with pytest.raises(BundleError, match=r"the bundle lists 2 files for model\.halves; an ONNX model has one"):
        load(bundle).predict([RED])


# ---- rows that lie


def file_row(size: int = 1) -> dict[str, Any]:
    return {"sha256": HASH, "bytes": size}


def another(name: str) -> Callable[[dict[str, Any]], None]:
    """Name one more file, of no bytes."""
    return lambda row: row["files"].update({name: file_row(0)})


def without_main(row: dict[str, Any]) -> None:
    del row["files"][row["file"]]


def main_of_another_hash(row: dict[str, Any]) -> None:
    row["files"][row["file"]]["sha256"] = HASH


def second_of_another_hash(row: dict[str, Any]) -> None:
    row["files"][FILES[1]]["sha256"] = HASH


def larger_together(row: dict[str, Any]) -> None:
    row["files"][FILES[1]]["bytes"] += 1


def smaller_together(row: dict[str, Any]) -> None:
    row["bytes"] += 1


def too_many(row: dict[str, Any]) -> None:
    row["files"].update({f"{number}.bin": file_row(0) for number in range(MAX_MODEL_FILES)})


def no_object(row: dict[str, Any]) -> None:
    row["files"] = [*FILES]


def no_row(row: dict[str, Any]) -> None:
    row["files"][FILES[1]] = HASH


LIES = {
    another("../secret.bin"): r"lists '\.\./secret\.bin'; every file must have a plain name inside the bundle",
    another("/etc/passwd"): r"every file must have a plain name inside the bundle",
    another("halves/../../secret.bin"): r"every file must have a plain name inside the bundle",
    another("C:\\secret.bin"): r"every file must have a plain name inside the bundle",
    another("nul.bin"): r"every file must have a plain name inside the bundle",
    another("MODEL.halves"): "lists the same file twice",
    another("labels.txt"): "lists the same file twice",
    another("bundle.json"): "lists the same file twice",
    without_main: r"files is .*; it must be an object that lists 'model\.halves' with the artifact's sha256",
    main_of_another_hash: r"it must be an object that lists 'model\.halves' with the artifact's sha256",
    second_of_another_hash: r"halves/second\.bin was altered",
    larger_together: r"it must be files of \d+ bytes in total, the size of the artifact",
    smaller_together: r"it must be files of \d+ bytes in total, the size of the artifact",
    too_many: r"it must be at most 100 files",
    no_object: r"files is \['model\.halves', .*; it must be a JSON object",
    no_row: r"halves/second\.bin is '0+.*; it must be a JSON object",
}


@pytest.mark.parametrize(("lie", "words"), LIES.items(), ids=[str(number) for number in range(len(LIES))])
def test_rows_that_lie(bundle: Path, rewrite: Rewrite, lie: Callable[[dict[str, Any]], None], words: str) -> None:
    rewrite(bundle, lambda manifest: lie(manifest["artifacts"][0]))
    with pytest.raises(BundleError, match=words):
        load(bundle)


def test_two_artifacts_share_no_file(bundle: Path, rewrite: Rewrite) -> None:
    def share(manifest: dict[str, Any]) -> None:
        (row,) = manifest["artifacts"]
        files = {"model.other": row["files"][FILES[0]], FILES[1]: row["files"][FILES[1]]}
        manifest["artifacts"].append(row | {"file": "model.other", "files": files})

    rewrite(bundle, share)
    with pytest.raises(BundleError, match="lists the same file twice"):
        load(bundle)


def test_rows_of_earlier_versions_have_one_file(color_bundle: Path, rewrite: Rewrite) -> None:
    rewrite(color_bundle, lambda manifest: manifest["artifacts"][0].pop("files"))
    loaded = load(color_bundle)
    row = loaded.manifest.artifact()
    assert set(row.files) == {"model.onnx"}
    assert (row.files["model.onnx"].sha256, row.files["model.onnx"].bytes) == (row.sha256, row.bytes)
    assert loaded.predict([RED])[0].label == "red"
    check_files(color_bundle, loaded.manifest)
    assert foreign_files(color_bundle, loaded.manifest) == []
