import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import BundleError
from lungfish.runtime.preprocessing import Preprocessing


def noise(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height))


def test_sizes() -> None:
    rule = Preprocessing(224)
    assert rule.resize_px == 256
    assert rule.draft_px == 512
    assert rule.pixels(noise(400, 533)).shape == (224, 224, 3)
    assert rule.pixels(noise(400, 533)).dtype == np.uint8


@pytest.mark.parametrize("size", [(400, 533), (533, 400), (256, 256), (300, 300)])
def test_it_is_resize_then_crop(size: tuple[int, int]) -> None:
    rule, image = Preprocessing(224), noise(*size)
    scale = 256 / min(size)
    resized = image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BICUBIC)
    left, top = (resized.width - 224) // 2, (resized.height - 224) // 2
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)), int)
    # the crop may lie half a pixel beside that of whole pixels
    assert np.abs(rule.pixels(image).astype(int) - expected).mean() < 4


def test_the_center_is_kept() -> None:
    image = Image.new("RGB", (300, 100), "black")
    image.paste((255, 255, 255), (100, 0, 200, 100))
    assert Preprocessing(64, crop_fraction=1.0).pixels(image).min() > 235  # the filter blends the edge


def test_a_square_of_the_right_size_is_untouched() -> None:
    image = noise(32, 32)
    np.testing.assert_array_equal(Preprocessing(32, crop_fraction=1.0).pixels(image), np.asarray(image))


@pytest.mark.parametrize("crop_fraction", [1.0, 0.875, 0.9, 0.333])
def test_every_size_of_photo_fits(crop_fraction: float) -> None:
    for resolution_px in (8, 75, 224):
        rule = Preprocessing(resolution_px, crop_fraction)
        for side in range(1, 400, 7):
            image = Image.new("RGB", (side, side + side % 5))
            assert rule.pixels(image).shape == (resolution_px, resolution_px, 3)


def test_thin_photos() -> None:
    assert Preprocessing(32).pixels(Image.new("RGB", (1, 3000))).shape == (32, 32, 3)
    assert Preprocessing(32).pixels(Image.new("RGB", (3000, 1))).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"resolution_px": 0},
        {"resolution_px": 10_000},
        {"resolution_px": 224, "crop_fraction": 0},
        {"resolution_px": 224, "crop_fraction": 1.5},
        {"resolution_px": 224, "interpolation": "nearest"},
        {"resolution_px": 224, "color": "BGR"},
    ],
)
def test_rules_out_of_range(fields: dict[str, object]) -> None:
    with pytest.raises(BundleError, match=f"preprocess: {list(fields)[-1]} is"):
        Preprocessing(**fields)  # type: ignore[arg-type]
