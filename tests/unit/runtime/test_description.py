"""What bundle.json says is enough to write the resize rule, and to run the models, without Lungfish."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lungfish.runtime.manifest import Manifest
from lungfish.runtime.preprocessing import Preprocessing

CLOTHING = Path(__file__).parents[4] / "shared" / "data" / "clothing-small" / "test"
RULES = (Preprocessing(224), Preprocessing(75, 0.9, "bilinear"), Preprocessing(96, 1.0))


def pillow_pixels(data: bytes, said: dict[str, Any]) -> np.ndarray:
    """The rule, by somebody who has Pillow and `preprocess` of a bundle.json."""
    image = Image.open(io.BytesIO(data))
    shorter = min(image.size)
    if image.format == "JPEG":
        scale = next((s for s in said["jpeg_scales"] if shorter >= s * said["jpeg_shorter_side_px"]), 1)
        image.draft(None, (image.width // scale, image.height // scale))
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert(said["color"])
    width, height = said["crop_px"]
    square = min(image.size) * width / said["shorter_side_px"]
    left, top = (image.width - square) / 2, (image.height - square) / 2
    kernel = Image.Resampling[said["interpolation"].upper()]
    return np.asarray(image.resize((width, height), kernel, (left, top, left + square, top + square)))


def numpy_pixels(image: np.ndarray, said: dict[str, Any], axes: tuple[int, int]) -> np.ndarray:
    """The same of decoded pixels, by somebody who has no Pillow: a port to another language."""
    square = min(image.shape[:2]) * said["crop_px"][0] / said["shorter_side_px"]
    for axis in axes:
        weights = axis_weights(image.shape[axis], square, said)
        resampled = np.moveaxis(np.tensordot(weights, image.astype(float), (1, axis)), 0, axis)
        image = np.floor(np.clip(resampled, *said["levels"]) + 0.5)
    return image


def axis_weights(length: int, square: float, said: dict[str, Any]) -> np.ndarray:
    """How much each pixel along one axis of the photo gives to each pixel of the crop."""
    out = said["crop_px"][0]
    step = square / out
    widened = max(step, 1.0) if said["antialias"] else 1.0
    centers = (length - square) / 2 + (np.arange(out) + 0.5) * step
    x = np.abs(np.arange(length) + 0.5 - centers[:, None]) / widened
    if (a := said["bicubic_a"]) is None:
        weights = np.maximum(1 - x, 0)
    else:
        near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
        weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def photo(width: int, height: int, form: str = "PNG", mode: str = "RGB", orientation: int = 1) -> bytes:
    levels = np.random.default_rng(0).integers(0, 256, (height // 20, width // 20, len(mode)), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x112] = orientation
    file = io.BytesIO()
    Image.fromarray(levels).resize((width, height)).save(file, form, exif=exif)
    return file.getvalue()


PHOTOS = {
    "smaller": photo(70, 61),
    "taller": photo(311, 431),
    "transparent": photo(320, 300, mode="RGBA"),
    "turned": photo(500, 300, "JPEG", orientation=6),
    "large": photo(2500, 2100, "JPEG"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.resolution_px}")
@pytest.mark.parametrize("name", PHOTOS)
def test_the_rule_is_enough_to_write_it_with_pillow(rule: Preprocessing, name: str) -> None:
    data = PHOTOS[name]
    np.testing.assert_array_equal(pillow_pixels(data, said_of(rule)), rule.pixels(rule.decode(data)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.resolution_px}")
@pytest.mark.parametrize("name", ["smaller", "taller"])
def test_the_rule_is_enough_to_write_it_without_pillow(rule: Preprocessing, name: str) -> None:
    """Pillow rounds its weights to 22 bits: a level that lies between two may be rounded to the other one.

    Since version 13 it begins with the axis that shrinks more.
    """
    image = rule.decode(PHOTOS[name])
    ported = [numpy_pixels(np.asarray(image), said_of(rule), axes) for axes in ((1, 0), (0, 1))]
    off = min((np.abs(each - rule.pixels(image)) for each in ported), key=np.sum)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="needs ../shared/data/clothing-small")
def test_the_rule_on_real_photos() -> None:
    for path in sorted(CLOTHING.glob("*/*.jpg"))[::100]:
        data = path.read_bytes()
        np.testing.assert_array_equal(pillow_pixels(data, said_of(RULES[0])), RULES[0].pixels(RULES[0].decode(data)))


def said_of(rule: Preprocessing) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(json.dumps(rule.to_json() | rule.describe()))
    return said


def test_the_rule_in_words_holds_its_numbers() -> None:
    said = said_of(Preprocessing(224))
    words = f"{said['rule']} {said['bit_for_bit']}"
    sizes = ("256 px", "224 x 224 px", "224/256", "512 px", "1/8, 1/4 and 1/2", "0 to 255")
    for part in (*sizes, "bicubic (a = -0.5)", "RGB"):
        assert part in words
    assert "bilinear kernel" in said_of(RULES[1])["rule"]


def test_input_and_output_are_those_of_every_model(trained: Any) -> None:
    import onnxruntime

    said = json.loads((trained.bundle / "bundle.json").read_text(encoding="utf-8"))
    names = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}
    for row in said["artifacts"]:
        session = onnxruntime.InferenceSession(trained.bundle / row["file"])
        (taken,), (given,) = session.get_inputs(), session.get_outputs()
        for node, key in ((taken, "input"), (given, "output")):
            assert (node.name, node.type) == (said[key]["name"], names[said[key]["dtype"]])
            assert node.shape == said[key]["shape"]
    assert said["input"]["shape"] == ["batch", 48, 48, 3]
    assert said["output"]["shape"] == ["batch", 3]


def test_the_temperature_is_inside_where_it_is_said_to_be(trained: Any) -> None:
    """The classifier of the FP32 model is that of weights.safetensors, divided by the temperature."""
    import onnx
    from onnx import numpy_helper
    from safetensors.numpy import load_file

    said = json.loads((trained.bundle / "bundle.json").read_text(encoding="utf-8"))
    assert said["temperature_inside"] == {"model.onnx": True, "model-int8.onnx": True, "weights.safetensors": False}
    assert said["temperature"] != 1
    graph = onnx.load(trained.bundle / "model.onnx").graph
    (bias,) = (numpy_helper.to_array(each) for each in graph.initializer if each.name == "classifier.bias")
    outside = load_file(trained.bundle / "weights.safetensors")["classifier.bias"]
    np.testing.assert_allclose(bias, outside / said["temperature"], rtol=1e-6)


def test_what_is_only_for_people_is_not_read(color_bundle: Path, rewrite: Callable[..., None]) -> None:
    """An older bundle has none of it, and a stranger's may hold anything there."""
    path = color_bundle / "bundle.json"
    manifest = Manifest.from_json(path.read_bytes())
    derived = {"input", "output", "temperature_inside"}

    def spoil(values: dict[str, Any]) -> None:
        values.update(dict.fromkeys(derived, -1))
        values["preprocess"].update({key: [{}] for key in manifest.preprocess.describe()})

    def age(values: dict[str, Any]) -> None:
        for key in derived:
            del values[key]
        values["preprocess"] = manifest.preprocess.to_json()

    for change in (spoil, age):
        text = path.read_bytes()
        rewrite(color_bundle, change)
        assert Manifest.from_json(path.read_bytes()) == manifest
        path.write_bytes(text)
