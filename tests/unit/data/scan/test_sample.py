from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lungfish.core.errors import UnreadablePhotoError
from lungfish.core.progress import Progress
from lungfish.data.photos import Photo
from lungfish.data.scan.examination import ExamineOptions, examine
from lungfish.data.scan.sample import embed_sample, sample_by_class
from lungfish.data.sources import open_photos
from lungfish.runtime.preprocessing import Preprocessing

SMALL = Preprocessing(32)


def test_classes_keep_their_proportion_and_none_is_lost(record: Any) -> None:
    """Listed by class, as a CSV may be: 600 photos of a, 300 of b, 98 of c, 2 of d."""
    counts = {0: 600, 1: 300, 2: 98, 3: 2}
    records = [record(f"{label}/{i}", label) for label, count in counts.items() for i in range(count)]
    positions = np.arange(len(records))
    taken = sample_by_class(records, positions, size=100, least=5)
    assert Counter(records[i].photo.label for i in taken) == {0: 60, 1: 30, 2: 9, 3: 2}
    assert taken.tolist() == sorted(set(taken.tolist()))
    assert Counter(records[i].photo.label for i in sample_by_class(records, positions, 3, 5)) == {
        0: 5,
        1: 5,
        2: 5,
        3: 2,
    }
    assert sample_by_class(records, positions, 1000, 5).tolist() == positions.tolist()
    assert set(sample_by_class(records, positions[::2], 100, 5)) <= set(positions[::2])


def test_the_choice_is_by_content_whatever_the_names_and_their_order(record: Any) -> None:
    named = [record(f"{i % 2}/{i:03}", i % 2, content=f"photo {i}") for i in range(200)]
    renamed = [replace(each, photo=replace(each.photo, name=f"{i}")) for i, each in enumerate(named)]
    shuffled = [renamed[i] for i in np.random.default_rng(0).permutation(200)]
    first, second = (
        {records[i].seen.sha256 for i in sample_by_class(records, np.arange(200), 50, 5)}
        for records in (named, shuffled)
    )
    assert first == second
    assert max(i for i, each in enumerate(named) if each.seen.sha256 in first) > 150, "not the first photos listed"


def test_a_sample_has_the_features_that_all_would_have(write_classes: Any, trunk: Any, tmp_path: Any) -> None:
    photos = open_photos(write_classes(tmp_path / "photos", {"cat": 20, "dog": 20}))
    bare = examine(photos, SMALL, trunk, ExamineOptions(needs_features=lambda _photo: False))
    positions = np.array([3, 4, 21, 39])
    sample = embed_sample(bare, positions, photos, SMALL, trunk, Progress())
    assert (sample.features.shape, sample.embedded, trunk.seen) == ((4, 3), 4, 4)
    assert np.flatnonzero(sample.feature_rows >= 0).tolist() == positions.tolist()
    assert (sample.records, sample.skipped) == (bare.records, ())
    whole = examine(photos, SMALL, trunk)
    ours, theirs = (each.features[each.feature_rows[positions]] for each in (sample, whole))
    assert ours.tobytes() == theirs.tobytes()


def test_a_photo_that_is_lost_in_between_is_named(write_classes: Any, trunk: Any, tmp_path: Any) -> None:
    photos = open_photos(write_classes(tmp_path / "photos", {"cat": 5, "dog": 5}))
    bare = examine(photos, SMALL)

    def reader(photo: Photo) -> bytes:
        raise UnreadablePhotoError("the file is gone")

    with pytest.raises(UnreadablePhotoError, match=r"^cat/002.png: the file is gone\nPut it back"):
        embed_sample(bare, np.array([2]), replace(photos, reader=reader), SMALL, trunk, Progress())
