import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lungfish.evaluation.explanation import ExplainedAnswer, explanation_png

SAID = ExplainedAnswer("boot.jpg", "shoes", 0.923, "model-int8.onnx", "shoes", 0.923)
PIXELS = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
HEAT = np.random.default_rng(1).random((2, 2)).astype(np.float32)


def draw(said: ExplainedAnswer = SAID) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(explanation_png(PIXELS, HEAT, said))).convert("RGB"))


def test_a_png_without_metadata_the_same_every_time() -> None:
    data = explanation_png(PIXELS, HEAT, SAID)
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("PNG", (960, 590))
    assert set(image.info) <= {"dpi"}
    assert explanation_png(PIXELS, HEAT, SAID) == data


def test_the_photo_is_on_the_left_and_its_heat_on_the_right() -> None:
    photo = np.full((64, 64, 3), (0, 200, 0), np.uint8)
    data = explanation_png(photo, np.zeros((2, 2), np.float32), SAID)
    drawn = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert tuple(drawn[300, 250]) == (0, 200, 0)
    assert len(set(drawn[300, 700].tolist())) == 1  # grey: no heat


@pytest.mark.parametrize(
    "change",
    [{"file": "sandal.jpg"}, {"label": "boots"}, {"probability": 0.5}, {"artifact": "model.onnx"}, {"marked": "hat"}],
)
def test_every_word_is_drawn(change: dict[str, object]) -> None:
    assert (draw() != draw(replace(SAID, **change))).any()  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["$\\frac{$x^2$", "größe 靴 \U0001f462", "\x1b[31m\u202e\udcff\n", "W" * 1000])
def test_any_text_is_drawn_as_it_is(text: str) -> None:
    drawn = draw(ExplainedAnswer(text, text, 0.9, text, text, 0.9))
    assert drawn.shape == (590, 960, 3)
    paper = drawn[0, 0]
    assert (drawn[:, -5:] == paper).all(), "the words leave the sheet"
