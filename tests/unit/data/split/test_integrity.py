from __future__ import annotations

import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.scan.examination import examine
from lungfish.data.scan.near_duplicates import find_near_duplicates
from lungfish.data.sources import open_photos
from lungfish.data.split.assign import assign_splits
from lungfish.data.split.integrity import check_photos
from lungfish.runtime.preprocessing import Preprocessing


def check(folder):
    photos = open_photos(folder)
    return check_photos(photos, examine(photos, Preprocessing(32)))


def test_a_class_whose_photos_are_all_bad(tmp_path, write_classes):
    write_classes(tmp_path / "p", {"cat": 3, "dog": 2})
    for path in (tmp_path / "p" / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        PhotosError, match=r"none of the 2 photos of class 'dog' can be read, .*dog/000.png: empty file"
    ):
        check(tmp_path / "p")


def test_more_than_one_in_twenty_skipped_is_a_warning(tmp_path, write_classes):
    write_classes(tmp_path / "p", {"cat": 10, "dog": 10})
    (tmp_path / "p" / "cat" / "000.png").write_bytes(b"")
    assert check(tmp_path / "p") == ()
    (tmp_path / "p" / "dog" / "000.png").write_bytes(b"")
    assert check(tmp_path / "p") == ("2 of 20 files were skipped (10%); most common reason (2): empty file",)


def test_clothing_small(shared_data, tmp_path):
    """A slice of the real photos: all readable, no leak across the given sides."""
    photos = open_photos(shared_data / "clothing-small" / "test")
    examined = examine(photos, Preprocessing(64))
    assert check_photos(photos, examined) == ()
    assert len(examined.records) == 372
    copies = find_near_duplicates([record.seen for record in examined.records])
    assert len(copies.pairs) == 0
    assigned = assign_splits(examined.records, photos.labels, copies)
    assert set(assigned.splits) == {"train", "val", "test"}
