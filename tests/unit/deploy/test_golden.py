"""Golden vectors, checked as a port would check itself: from the files of a bundle alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import lungfish as lf
from lungfish.deploy.golden import golden_pictures, golden_pixels, write_golden
from lungfish.runtime.preprocessing import Preprocessing


def resized(picture: Image.Image, rule: dict[str, Any]) -> np.ndarray:
    """The resize rule as its words say it: shorter side to resolution / crop fraction, then the central square."""
    assert (rule["interpolation"], rule["color"]) == ("bicubic", "RGB")
    side, shorter = rule["resolution_px"], min(picture.size)
    kept = side * shorter / round(side / rule["crop_fraction"])
    left, top = ((length - kept) / 2 for length in picture.size)
    box = (left, top, left + kept, top + kept)
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, box=box))


def test_the_pictures_become_the_pixels(trained: Any) -> None:
    golden = trained.bundle / "golden"
    rule = json.loads((trained.bundle / "bundle.json").read_text())["preprocess"]
    pixels = np.load(golden / "pixels.npy", allow_pickle=False)
    names = sorted(path.name for path in golden.glob("*.png"))
    assert pixels.shape == (len(names), rule["resolution_px"], rule["resolution_px"], 3)
    for name, expected in zip(names, pixels, strict=True):
        with Image.open(golden / name) as picture:
            assert picture.mode == "RGB"
            np.testing.assert_array_equal(resized(picture, rule), expected)


def test_the_pixels_become_the_probabilities(trained: Any) -> None:
    golden = trained.bundle / "golden"
    pixels = np.load(golden / "pixels.npy", allow_pickle=False)
    expected = json.loads((golden / "probabilities.json").read_text())
    bundle = lf.load(trained.bundle)
    assert set(expected) == {"model.onnx", "model-int8.onnx"}
    for file, rows in expected.items():
        assert list(rows) == sorted(path.name for path in golden.glob("*.png"))
        got = bundle.probabilities(pixels, file)
        np.testing.assert_allclose(got, list(rows.values()), atol=2e-6)
        assert np.ptp(got, axis=0).max() > 0.01, "pictures that all look alike check nothing"


def test_predicting_the_pictures_gives_the_same(trained: Any) -> None:
    golden = trained.bundle / "golden"
    expected = json.loads((golden / "probabilities.json").read_text())["model.onnx"]
    rows = lf.load(trained.bundle).predict([golden / name for name in expected], artifact="model.onnx", top=3)
    for row, (name, probabilities) in zip(rows, expected.items(), strict=True):
        assert row.file == str(golden / name)
        assert row.probability == pytest.approx(max(probabilities), abs=2e-6)


def test_the_pictures_are_generated_and_of_several_shapes() -> None:
    one, two = golden_pictures(), golden_pictures()
    assert {name: np.asarray(picture).tobytes() for name, picture in one.items()} == {
        name: np.asarray(picture).tobytes() for name, picture in two.items()
    }
    assert len({picture.size for picture in one.values()}) >= 3
    assert {picture.width > picture.height for picture in one.values()} == {True, False}


def test_answers_stand_under_their_pictures(tmp_path: Path) -> None:
    preprocess = Preprocessing(32)
    answers = np.eye(4, dtype=np.float32)
    write_golden(tmp_path, preprocess, {"model.onnx": answers})
    rows = json.loads((tmp_path / "golden" / "probabilities.json").read_text())["model.onnx"]
    assert list(rows.values()) == answers.tolist()
    pixels = golden_pixels(preprocess)
    for i, name in enumerate(rows):
        np.testing.assert_array_equal(preprocess.pixels(golden_pictures()[name]), pixels[i])
