from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from lungfish.core.hashing import sha256_bytes
from lungfish.data.scan.inspection import Inspection, inspect
from lungfish.data.scan.near_duplicates import MAX_DISTANCE, MAX_NEIGHBORS, find_near_duplicates, join
from lungfish.runtime.preprocessing import Preprocessing

RULE = Preprocessing(96)


def seen(data: bytes) -> Inspection:
    return inspect(sha256_bytes(data), RULE.pixels(RULE.decode(data)))


def created(number: int, phash: int, signature: np.ndarray) -> Inspection:
    return Inspection(f"{number:064x}", phash, signature)


def copies_of(image: Image.Image, encoded) -> dict[str, bytes]:
    half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)
    return {
        "quality 60": encoded(image, "JPEG", quality=60),
        "half the size": encoded(half, "JPEG", quality=90),
        "brighter": encoded(ImageEnhance.Brightness(image).enhance(1.05), "JPEG", quality=90),
    }


def test_copies_are_found_and_other_pictures_are_not(picture, encoded):
    pictures = [picture(i, (320, 240)) for i in range(20)]
    data = [encoded(image) for image in pictures]
    for image in pictures:
        data += copies_of(image, encoded).values()
    groups = find_near_duplicates([seen(d) for d in data]).groups
    assert groups[:20].tolist() == list(range(20))
    assert groups[20:].tolist() == [i for i in range(20) for _ in range(3)]


def test_the_same_file_twice_is_a_pair(picture, encoded):
    a, b = seen(encoded(picture(1))), seen(encoded(picture(2)))
    found = find_near_duplicates([a, b, a, a])
    assert found.pairs.tolist() == [[0, 2], [0, 3]]
    assert found.groups.tolist() == [0, 1, 0, 0]


def test_no_photos_and_one_photo(picture, encoded):
    assert find_near_duplicates([]).pairs.shape == (0, 2)
    assert find_near_duplicates([seen(encoded(picture(1)))]).groups.tolist() == [0]


def test_alike_is_not_a_copy():
    """Equal hashes with different thumbnails: a red and a blue shirt on white."""
    shirt = np.full((8, 8, 3), 250, np.uint8)
    shirt[2:6, 2:6] = (200, 30, 30)
    other = shirt.copy()
    other[2:6, 2:6] = (30, 30, 200)
    assert len(find_near_duplicates([created(0, 7, shirt), created(1, 7, other)]).pairs) == 0


def test_blank_pictures_of_different_detail_are_no_copies():
    flat = np.full((8, 8, 3), 128, np.uint8)
    faint = flat.copy()
    faint[3, 3] += 12
    assert len(find_near_duplicates([created(0, 7, flat), created(1, 7, faint)]).pairs) == 0
    assert len(find_near_duplicates([created(0, 7, flat), created(1, 7, flat)]).pairs) == 1


def test_blank_pictures_of_different_brightness_are_no_copies():
    blank = [created(level, 7, np.full((8, 8, 3), level, np.uint8)) for level in (0, 1, 128, 255)]
    assert find_near_duplicates(blank).pairs.tolist() == [[0, 1]]


@pytest.mark.parametrize("bits", range(7))
def test_hashes_up_to_six_bits_apart_always_meet(bits):
    rng = np.random.default_rng(bits)
    signature = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for _ in range(50):
        a = int(rng.integers(0, 2**63))
        b = a ^ sum(1 << int(place) for place in rng.choice(64, bits, replace=False))
        assert len(find_near_duplicates([created(0, a, signature), created(1, b, signature)]).pairs) == 1


def test_hashes_far_apart_do_not_meet():
    signature = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    apart = (1 << (MAX_DISTANCE + 1)) - 1
    assert len(find_near_duplicates([created(0, 0, signature), created(1, apart, signature)]).pairs) == 0


def test_a_very_common_hash_costs_no_square_and_stays_one_group():
    rng = np.random.default_rng(0)
    signature = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    count = 4 * MAX_NEIGHBORS
    found = find_near_duplicates([created(i, 5, signature) for i in range(count)])
    assert len(found.pairs) <= count * MAX_NEIGHBORS
    assert set(found.groups.tolist()) == {0}


def test_adding_photos_keeps_the_pairs_that_are_there(picture, encoded):
    few = [seen(encoded(picture(i))) for i in range(10)] + [seen(encoded(picture(3), "JPEG", quality=90))]
    many = few + [seen(encoded(picture(i))) for i in range(100, 160)]
    assert find_near_duplicates(few).pairs.tolist() == find_near_duplicates(many).pairs.tolist() == [[3, 10]]


def test_join_names_groups_by_their_smallest_index():
    assert join(6, np.array([[4, 5], [1, 4], [2, 3]])).tolist() == [0, 1, 2, 2, 1, 1]


def test_handwritten_digits_are_not_merged(encoded):
    datasets = pytest.importorskip("sklearn.datasets")
    scans = datasets.load_digits().images[:600]
    enlarged = [
        Image.fromarray((scan * 255 / 16).astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC) for scan in scans
    ]
    assert len(find_near_duplicates([seen(encoded(image)) for image in enlarged]).pairs) == 0
