import numpy as np
from matplotlib import colormaps

from lungfish.evaluation.heat_map import overlay

RED = np.full((40, 60, 3), (200, 40, 40), np.uint8)


def spread(colors: np.ndarray) -> np.ndarray:
    """How far each pixel is from grey."""
    return colors.max(axis=-1).astype(int) - colors.min(axis=-1)


def test_without_heat_it_is_the_photo_in_grey() -> None:
    image = overlay(RED, np.zeros((7, 7), np.float32))
    assert image.size == (60, 40)
    assert len(set(np.asarray(image).ravel().tolist())) == 1


def test_color_is_where_the_heat_is() -> None:
    heat = np.zeros((4, 6), np.float32)
    heat[0, 5] = 3.0
    colors = np.asarray(overlay(RED, heat))
    assert spread(colors[20:, :30]).max() == 0
    assert spread(colors[:10, 50:]).max() > 40
    brightest = np.unravel_index(colors.sum(axis=-1).argmax(), (40, 60))
    assert brightest[0] < 10
    assert brightest[1] >= 50


def test_the_scale_of_the_heat_does_not_matter() -> None:
    heat = np.random.default_rng(0).random((7, 7)).astype(np.float32)
    np.testing.assert_array_equal(overlay(RED, heat), overlay(RED, np.float32(1024) * heat))


def test_more_heat_is_brighter_on_black() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None]
    luminance = np.asarray(overlay(np.zeros((1, 64, 3), np.uint8), ramp).convert("L"), int)[0]
    assert (np.diff(luminance) >= 0).all()
    assert luminance[-1] > 150


def test_the_colors_are_those_of_magma() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None]
    drawn = np.asarray(overlay(np.zeros((1, 64, 3), np.uint8), ramp), int)[0]
    magma = 255 * colormaps["magma"](ramp[0])[:, :3]
    assert np.abs(drawn - 0.75 * ramp[0, :, None] * magma).max() < 6
