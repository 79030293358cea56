import io
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import BundleError, StorageError, UnknownNameError, UsageError
from lungfish.core.hashing import sha256_bytes
from lungfish.runtime.bundle import Bundle, load
from lungfish.runtime.bundle_files import check_files
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.engines.engine import BATCH_SIZE, Engine, ModelFiles
from lungfish.runtime.engines.table import open_engine
from lungfish.runtime.prediction import Prediction

Rewrite = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 30), color).save(buffer, "PNG")
    return buffer.getvalue()


def symlink(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target)
    except OSError:
        pytest.skip("this system does not let us make links")


def test_all_kinds_of_pictures_in_order(color_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "green.png"
    path.write_bytes(png("lime"))
    red = np.zeros((9, 7, 3), np.uint8)
    red[..., 0] = 255
    rows = load(color_bundle).predict([path, str(path), png("blue"), Image.new("L", (5, 5)), red])
    assert [row.label for row in rows] == ["green", "green", "blue", "red", "red"]
    assert [row.file for row in rows] == [str(path), str(path), None, None, None]
    assert all(row.error is None for row in rows)


def test_one_row(color_bundle: Path) -> None:
    (row,) = load(color_bundle).predict([png("red")], top=2)
    assert row.label == row.top[0].label == "red"
    assert row.probability == row.top[0].probability == pytest.approx(np.exp(5.1) / (np.exp(5.1) + 2), abs=1e-4)
    assert row.known is True
    assert len(row.top) == 2
    assert list(row.to_json()) == ["file", "label", "probability", "known", "top", "error"]
    assert row.to_json()["top"][0] == {"label": "red", "probability": row.probability}


def test_known_is_a_matter_of_the_threshold(write_color_bundle: Callable[..., Path], tmp_path: Path) -> None:
    gray = Image.new("RGB", (5, 5), "gray")  # a third for each class
    for name, known, expected in (("low", 0.3, True), ("high", 0.34, False)):
        assert load(write_color_bundle(tmp_path / name, known=known)).predict([gray])[0].known is expected


def test_bad_pictures_have_an_error_and_the_others_their_place(color_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    items = [
        png("red"),
        b"",
        tmp_path / "text.jpg",
        tmp_path / "gone.jpg",
        np.zeros((2, 2)),
        png("blue")[:60],
        png("blue"),
    ]
    rows = load(color_bundle).predict(items)  # type: ignore[arg-type]
    assert [row.label for row in rows] == ["red", None, None, None, None, None, "blue"]
    errors = [row.error or "" for row in rows]
    for error, words in zip(
        errors[1:6], ("empty", "not a picture", "no such file", "expected uint8", "truncated"), strict=True
    ):
        assert words in error
    assert rows[1].top == ()
    assert rows[1].known is None


def test_many_pictures_keep_their_order_across_batches(color_bundle: Path) -> None:
    colors = ["red", "lime", "blue", "broken"]
    chosen = [colors[i] for i in np.random.default_rng(0).integers(0, 4, 3 * BATCH_SIZE + 5)]
    rows = load(color_bundle).predict(b"x" if color == "broken" else png(color) for color in chosen)
    assert [row.label or "broken" for row in rows] == [color.replace("lime", "green") for color in chosen]


def test_pictures_are_taken_as_they_are_needed(color_bundle: Path) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield png("red")

    rows = load(color_bundle).predict_each(endless(), in_batches=True)
    for _ in range(5):
        next(rows)
    assert taken <= (2 * physical_cores() + 2) * BATCH_SIZE
    rows.close()  # type: ignore[attr-defined]


def test_a_row_comes_before_the_next_picture_is_asked_for(color_bundle: Path) -> None:
    taken = 0

    def camera() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield png("red")

    rows = load(color_bundle).predict_each(camera())
    for number in range(1, 2 * BATCH_SIZE):
        assert next(rows).label == "red"
        assert taken == number


def test_finished_rows_pass_through(color_bundle: Path) -> None:
    lost = Prediction("lost", error="why")
    rows = list(load(color_bundle).predict_each([png("red"), lost, png("blue")]))
    assert [row.label for row in rows] == ["red", None, "blue"]
    assert rows[1] is lost


def test_what_is_no_picture(color_bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"type int\nPass paths, bytes"):
        load(color_bundle).predict([5])  # type: ignore[list-item]


def test_pictures_without_pixels_are_error_rows(color_bundle: Path) -> None:
    items: list[Any] = [Image.new("RGB", (0, 5)), np.zeros((5, 0, 3), np.uint8), np.zeros((0, 5, 3), np.uint8)]
    rows = load(color_bundle).predict([*items, png("red")])
    assert all(row.error for row in rows[:3])
    assert rows[3].label == "red"


def test_no_pictures(color_bundle: Path) -> None:
    assert load(color_bundle).predict([]) == []


def test_a_single_picture_gives_a_list_of_one(color_bundle: Path, tmp_path: Path) -> None:
    path, red = tmp_path / "red.png", Image.new("RGB", (9, 9), (255, 0, 0))
    red.save(path)
    for single in (str(path), path, png("red"), red, np.asarray(red)):
        assert [row.label for row in load(color_bundle).predict(single)] == ["red"]
    (row,) = load(color_bundle).predict("gone.jpg")
    assert (row.file, row.error) == ("gone.jpg", "no such file")


def test_an_array_of_pictures(color_bundle: Path) -> None:
    pictures = np.zeros((3, 9, 9, 3), np.uint8)
    pictures[[0, 1, 2], :, :, [2, 0, 1]] = 255
    assert [row.label for row in load(color_bundle).predict(pictures)] == ["blue", "red", "green"]
    (row,) = load(color_bundle).predict(pictures[0, :, :, 0])
    assert row.error == "expected uint8 [height, width, 3], got uint8 [9, 9]"


def test_calls_out_of_range(color_bundle: Path) -> None:
    with pytest.raises(UsageError, match="top is -1"):
        load(color_bundle).predict([], top=-1)
    with pytest.raises(UnknownNameError, match=r"model.onnx"):
        load(color_bundle).predict([], artifact="model-int8.onnx")


def test_raw_probabilities(color_bundle: Path) -> None:
    got = load(color_bundle).probabilities(np.zeros((3, 8, 8, 3), np.uint8))
    np.testing.assert_allclose(got, np.full((3, 3), 1 / 3), rtol=1e-6)


# ---- what a bundle must not be


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        load(tmp_path / "gone")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file; a bundle is a folder"):
        load(tmp_path / "file")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"contains no bundle.json: it is not a bundle"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "labels.txt", "golden/note.txt"])
def test_missing_truncated_and_edited_files(color_bundle: Path, name: str) -> None:
    file = color_bundle / name
    whole, manifest = file.read_bytes(), load(color_bundle).manifest
    for damaged, words in (
        (whole[:-1], f"{name} has {len(whole) - 1:,} bytes; bundle.json says {len(whole):,}"),
        (whole + b"x", f"{name} has {len(whole) + 1:,} bytes"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), f"{name} was altered"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(BundleError, match=words):
            load(color_bundle)
    file.unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        check_files(color_bundle, manifest)
    file.mkdir()
    with pytest.raises(BundleError, match="not a regular file"):
        load(color_bundle)


def test_a_file_altered_after_loading(color_bundle: Path) -> None:
    bundle = load(color_bundle)
    (color_bundle / "model.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"model.onnx was altered"):
        bundle.predict([])
    (color_bundle / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model.onnx is missing"):
        bundle.predict([])


def test_a_slim_bundle_predicts(
    write_color_bundle: Callable[..., Path], color_model: Callable[..., Any], tmp_path: Path
) -> None:
    models = {name: color_model().SerializeToString() for name in ("model.onnx", "other.onnx")}
    folder = write_color_bundle(tmp_path / "slim", models=models)
    for name in ("other.onnx", "labels.txt", "golden/note.txt"):
        (folder / name).unlink()
    bundle = load(folder)
    assert bundle.predict([png("red")])[0].label == "red"
    with pytest.raises(BundleError, match=r"other.onnx is missing"):
        bundle.predict([], artifact="other.onnx")
    with pytest.raises(BundleError, match=r"is missing"):
        check_files(folder, bundle.manifest)
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model.onnx is missing"):
        load(folder)


def test_a_file_that_becomes_a_link_after_loading(color_bundle: Path, tmp_path: Path) -> None:
    bundle = load(color_bundle)
    shutil.move(color_bundle / "model.onnx", tmp_path / "model.onnx")
    symlink(color_bundle / "model.onnx", tmp_path / "model.onnx")
    with pytest.raises(BundleError, match=r"model.onnx is a link"):
        bundle.predict([])


def test_a_path_that_no_folder_can_have() -> None:
    with pytest.raises(UsageError, match=r"does not exist|cannot be opened"):
        load("x" * 300)


def test_threads_that_come_together_open_an_artifact_once(color_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    ready = threading.Barrier(8)

    def slowly(files: ModelFiles, format_name: str, threads: int) -> Engine:
        opened.append(threads)
        time.sleep(0.05)
        return open_engine(files, format_name, threads)

    monkeypatch.setattr("lungfish.runtime.bundle.open_engine", slowly)
    bundle = load(color_bundle)

    def first_prediction(_: int) -> str | None:
        ready.wait()
        return bundle.predict([png("red")])[0].label

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_prediction, range(8))) == ["red"] * 8
    assert len(opened) == 1


def test_an_artifact_that_grew_after_loading(color_bundle: Path) -> None:
    bundle = load(color_bundle)
    with (color_bundle / "model.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(BundleError, match=r"model.onnx was altered"):
        bundle.predict([])


def test_links_in_a_bundle(color_bundle: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "labels.txt", "bundle.json"):
        outside = tmp_path / f"outside-{name}"
        shutil.move(color_bundle / name, outside)
        symlink(color_bundle / name, outside)
        with pytest.raises(BundleError, match=f"{name} is a link"):
            load(color_bundle)
        (color_bundle / name).unlink()
        shutil.move(outside, color_bundle / name)
    assert load(color_bundle).labels


def test_a_linked_folder_in_a_bundle(color_bundle: Path, tmp_path: Path) -> None:
    shutil.move(color_bundle / "golden", tmp_path / "golden")
    symlink(color_bundle / "golden", tmp_path / "golden")
    with pytest.raises(BundleError, match=r"golden/note.txt is a link"):
        load(color_bundle)


def test_a_dangling_link(color_bundle: Path, tmp_path: Path) -> None:
    (color_bundle / "labels.txt").unlink()
    symlink(color_bundle / "labels.txt", tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"labels.txt is a link"):
        load(color_bundle)


def test_a_bundle_reached_through_a_link(color_bundle: Path, tmp_path: Path) -> None:
    symlink(tmp_path / "link", color_bundle)
    assert load(tmp_path / "link").predict([png("red")])[0].label == "red"


def test_a_path_outside_the_bundle(color_bundle: Path, rewrite: Rewrite, tmp_path: Path) -> None:
    shutil.copy(color_bundle / "model.onnx", tmp_path / "model.onnx")

    def point_outside(manifest: dict[str, Any]) -> None:
        manifest["artifacts"][0]["file"] = manifest["default"] = "../model.onnx"

    rewrite(color_bundle, point_outside)
    with pytest.raises(BundleError, match=r"'../model.onnx'; it must be a plain file name"):
        load(color_bundle)


def test_a_newer_schema(color_bundle: Path, rewrite: Rewrite) -> None:
    rewrite(color_bundle, lambda manifest: manifest.update(schema=99))
    with pytest.raises(BundleError, match="Upgrade lungfish"):
        load(color_bundle)


def replace_model(bundle: Path, rewrite: Rewrite, data: bytes) -> Bundle:
    """Put another model into the bundle, with a manifest that agrees."""
    (bundle / "model.onnx").write_bytes(data)
    file = {"sha256": sha256_bytes(data), "bytes": len(data)}
    rewrite(bundle, lambda m: m["artifacts"][0].update(file | {"files": {"model.onnx": file}}))
    return load(bundle)


def test_external_tensor_data(color_bundle: Path, rewrite: Rewrite, color_model: Callable[..., Any]) -> None:
    model = color_model()
    model.graph.initializer[1].data_location = 1
    model.graph.initializer[1].external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(BundleError, match="stores tensors in other files"):
        replace_model(color_bundle, rewrite, model.SerializeToString()).predict([])


def test_a_model_that_is_text(color_bundle: Path, rewrite: Rewrite) -> None:
    with pytest.raises(BundleError, match=r"not an ONNX file|not a valid ONNX file"):
        replace_model(color_bundle, rewrite, b"hello").predict([])


def test_another_number_of_classes(color_bundle: Path, rewrite: Rewrite, color_model: Callable[..., Any]) -> None:
    with pytest.raises(BundleError, match=r"returns 2 classes; bundle.json says 8 px and 3 classes"):
        replace_model(color_bundle, rewrite, color_model(["red", "blue"]).SerializeToString()).predict([])


def test_another_order_of_classes(color_bundle: Path, rewrite: Rewrite, color_model: Callable[..., Any]) -> None:
    with pytest.raises(BundleError, match=r"the labels metadata of model\.onnx does not match the bundle"):
        replace_model(color_bundle, rewrite, color_model(["blue", "red", "green"]).SerializeToString()).predict([])


def test_another_resize_rule(color_bundle: Path, rewrite: Rewrite) -> None:
    rewrite(color_bundle, lambda manifest: manifest["preprocess"].update(interpolation="bilinear"))
    with pytest.raises(BundleError, match=r"the preprocess metadata of model.onnx does not match"):
        load(color_bundle).predict([])


def test_values_that_are_no_probabilities(
    color_bundle: Path, rewrite: Rewrite, color_model: Callable[..., Any]
) -> None:
    model = color_model()
    model.graph.node[-1].op_type = "Relu"
    del model.graph.node[-1].attribute[:]
    with pytest.raises(BundleError, match=r"returned probabilities from .*; 0 to 1 are allowed"):
        replace_model(color_bundle, rewrite, model.SerializeToString()).predict([png("red")])


def test_a_format_that_cannot_run_here(color_bundle: Path, rewrite: Rewrite) -> None:
    rewrite(color_bundle, lambda manifest: manifest["artifacts"][0].update(format="tflite"))
    with pytest.raises(UsageError, match=r"model\.onnx has the format tflite; this installation runs onnx\nChoose"):
        load(color_bundle).predict([])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(color_bundle: Path) -> None:
    (color_bundle / "model.onnx").chmod(0)
    with pytest.raises(StorageError, match="cannot read model"):
        load(color_bundle)
