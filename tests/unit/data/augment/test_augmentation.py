from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import UsageError
from lungfish.data.augment import augmentation as module
from lungfish.data.augment.augmentation import Augmentation, augmented, view_rng
from lungfish.runtime.decode import decode
from lungfish.runtime.preprocessing import Preprocessing

SMALL = Preprocessing(32)
SHA256 = "ab" * 32


@pytest.fixture
def boxes(monkeypatch):
    """The parts that are taken, as they are passed to Pillow."""
    taken = []
    resize = Image.Image.resize

    def spy(image, size, resample, box=None):
        if box is not None:
            taken.append(box)
        return resize(image, size, resample, box=box)

    monkeypatch.setattr(Image.Image, "resize", spy)
    return taken


def view(image, number=1, seed=0, **settings):
    return augmented(image, SMALL, Augmentation(**settings), view_rng(seed, SHA256, number))


def test_the_same_numbers_give_the_same_view(picture):
    first = view(picture(0))
    assert (first.shape, first.dtype) == ((32, 32, 3), np.uint8)
    assert view(picture(0)).tobytes() == first.tobytes()
    assert len({view(picture(0), number).tobytes() for number in range(10)}) == 10
    assert view(picture(0), seed=1).tobytes() != first.tobytes()


def test_streams_are_apart():
    keys = [(0, SHA256, 1), (1, SHA256, 0), (0, SHA256, 11), (0, "cd" * 32, 1), (-1, SHA256, 1), (2**40, SHA256, 1)]
    assert len({view_rng(*key).random() for key in keys}) == len(keys)
    assert view_rng(*keys[0]).random() == view_rng(*keys[0]).random()


@pytest.mark.parametrize("size", [(400, 533), (533, 400), (300, 300)])
def test_parts_are_as_large_and_as_wide_as_allowed(picture, boxes, size):
    image, rng = picture(0, size), np.random.default_rng(0)
    for _ in range(500):
        augmented(image, SMALL, Augmentation(0.35, 1.5), rng)
    left, top, right, bottom = np.array(boxes).T
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= size[0]
    assert bottom.max() <= size[1]
    width, height = right - left, bottom - top
    areas, aspects = width * height / (size[0] * size[1]), width / height
    assert 0.35 - 1e-9 <= areas.min() < 0.4
    assert 0.9 < areas.max() <= 1 + 1e-9
    assert 1 / 1.5 - 1e-9 <= aspects.min() < 0.7
    assert 1.4 < aspects.max() <= 1.5 + 1e-9
    assert len(set(boxes)) == 500


def test_the_whole_range_of_areas_is_as_likely(picture, boxes):
    for seed in range(1000):
        view(picture(0, (64, 64)), seed=seed, min_area=0.5, max_aspect=1.0)
    areas = np.array([(right - left) * (bottom - top) / 64**2 for left, top, right, bottom in boxes])
    assert np.histogram(areas, 5, (0.5, 1))[0].min() > 150


@pytest.mark.parametrize(("size", "part"), [((1000, 30), (480, 0, 520, 30)), ((30, 1000), (0, 480, 30, 520))])
def test_where_no_part_fits_the_largest_in_the_middle_is_taken(picture, boxes, size, part):
    view(picture(0, size), min_area=0.9)
    assert boxes == [part]


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (3, 2)])
def test_tiny_pictures(picture, size):
    for number in range(20):
        assert view(picture(0, size), number).shape == (32, 32, 3)


def test_every_second_view_is_mirrored_and_none_with_flips_off():
    ramp = Image.fromarray(np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (100, 1, 3)))
    mirrored = 0
    for number in range(200):
        plain, flipped = view(ramp, number, flips=False), view(ramp, number)
        assert plain[:, -1].mean() > plain[:, 0].mean()  # left stays left
        if flipped[:, -1].mean() < flipped[:, 0].mean():
            mirrored += 1
            np.testing.assert_array_equal(flipped, plain[:, ::-1])
        else:
            np.testing.assert_array_equal(flipped, plain)
    assert 70 < mirrored < 130


def test_the_whole_square_is_the_resized_photo(picture):
    image = picture(0, (50, 50))
    whole = view(image, min_area=1.0, max_aspect=1.0, flips=False)
    np.testing.assert_array_equal(whole, Preprocessing(32, crop_fraction=1.0).pixels(image))


def test_usual_views_need_no_larger_photo_than_the_plain_one():
    rule = Preprocessing(224)
    assert Augmentation().draft_px(rule) == rule.draft_px == 512
    assert Augmentation(min_area=0.08).draft_px(rule) == 915


class SmallestPart:
    """Random numbers that lead to the smallest part."""

    def random(self):
        return 0.999


@pytest.mark.parametrize("min_area", [0.05, 0.2, 0.35])
def test_the_smallest_part_of_a_photo_decoded_small_is_as_sharp(min_area):
    rule, augmentation, photo = Preprocessing(128), Augmentation(min_area), (2560, 1920)
    pixel = 1920 * (min_area * 3 / 4) ** 0.5 / 128  # of the view, in the photo
    noise = np.random.default_rng(0).integers(0, 256, [int(side / pixel) for side in photo[::-1]], dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert("RGB").resize(photo, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95)

    def smallest(draft_px):
        image = decode(buffer.getvalue(), draft_px)
        return image.width, augmented(image, rule, augmentation, SmallestPart()).astype(int)

    (width, sharp), (scaled_width, scaled) = smallest(0), smallest(augmentation.draft_px(rule))
    too_small_width, too_small = smallest(augmentation.draft_px(rule) // 2)
    assert too_small_width < scaled_width < width
    assert np.abs(scaled - sharp).mean() < 0.06 * sharp.std()
    assert np.abs(too_small - sharp).mean() > 0.12 * sharp.std()


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_area": 0.0},
        {"min_area": 1.1},
        {"min_area": float("nan")},
        {"max_aspect": 0.9},
        {"max_aspect": float("inf")},
        {"flips": 1},
        {"color": -0.1},
        {"color": 1.1},
    ],
)
def test_what_is_not_allowed_is_said(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=rf"augmentation: {name} is {value}; it must be"):
        Augmentation(**wrong)


def test_the_last_word_after_so_many_tries(picture, boxes, monkeypatch):
    monkeypatch.setattr(module, "TRIES", 0)
    view(picture(0, (60, 60)))
    assert boxes == [(0, 0, 60, 60)]


def test_color_changes_light_but_not_what_is_shown(picture):
    plain, relit, again = (view(picture(0), color=color) for color in (0.0, 0.4, 0.4))
    assert (relit == again).all()
    assert not (relit == plain).all()
    gray = [image.astype(float).mean(axis=2).ravel() for image in (plain, relit)]
    assert np.corrcoef(*gray)[0, 1] > 0.9, "the same part, mirrored alike"


def test_color_makes_views_of_a_flat_photo_brighter_and_darker():
    flat = Image.new("RGB", (64, 64), (100, 100, 100))
    means = np.array([view(flat, number, color=0.4).mean() for number in range(40)])
    assert 60 <= means.min() < 80
    assert 120 < means.max() <= 140
