"""All problems of a folder in one list, whatever would have stopped the job first."""

from __future__ import annotations

import numpy as np
import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examination import examine
from lungfish.data.scan.examined import Examined
from lungfish.data.scan.near_duplicates import find_near_duplicates
from lungfish.data.sources import open_photos
from lungfish.data.split.assign import assign_splits
from lungfish.data.split.problem_list import list_problems
from lungfish.data.split.problems import Problem, stop_for, typos, uneven
from lungfish.runtime.preprocessing import Preprocessing


def problems_of(folder, warnings=()):
    photos = open_photos(folder)
    examined = examine(photos, Preprocessing(32))
    copies = find_near_duplicates([record.seen for record in examined.records])
    splits = assign_splits(examined.records, photos.labels, copies, stop=False)
    return list_problems(photos, examined, splits, (*warnings, *splits.warnings))


def test_a_sound_folder_has_none(write_classes, tmp_path):
    assert problems_of(write_classes(tmp_path / "p", {"boots": 9, "sandals": 9})) == ()


def test_all_that_is_wrong_is_listed_at_once(write_classes, tmp_path):
    folder = write_classes(tmp_path / "p", {"boots": 12, "broken": 3, "one": 1, "sandals": 9, "snadals": 1})
    for photo in (*(folder / "broken").iterdir(), folder / "boots" / "003.png"):
        photo.write_bytes(b"")
    (folder / "sandals" / "copy.png").write_bytes((folder / "boots" / "000.png").read_bytes())
    found = problems_of(folder, warnings=["mind the gap"])
    assert [(each.kind, each.classes, each.stops) for each in found] == [
        ("unreadable", ("broken",), True),
        ("too_few", ("one",), True),
        ("too_few", ("snadals",), True),
        ("unreadable", ("boots",), False),
        ("typo", ("snadals", "sandals"), False),
        ("uneven", ("boots", "one"), False),
        ("warning", (), False),
        ("warning", (), False),
    ]
    messages = [each.message for each in found]
    assert messages[0] == "none of the 3 photos of class 'broken' can be read, for instance broken/000.png: empty file"
    assert messages[1:3] == [
        "'one' has 1 photo; the minimum is 3",
        "'snadals' has 1 photo; the minimum is 3. Did you mean 'sandals'?",
    ]
    assert messages[3].startswith("1 of the 12 photos of class 'boots' cannot be read, for instance boots/003.png: ")
    assert messages[6] == "mind the gap"
    assert messages[7].startswith("1 pair of copies in two classes: boots/000.png (boots) and sandals/copy.png")
    assert not any("no test photos" in message for message in messages), "the small classes are told of already"
    assert set(found[1].to_json()) == {"kind", "message", "classes", "stops", "rule", "fix"}


def test_a_folder_without_any_readable_photo(write_classes, tmp_path):
    folder = write_classes(tmp_path / "p", {"boots": 2, "sandals": 2})
    for photo in folder.rglob("*.png"):
        photo.write_bytes(b"")
    assert [(each.kind, each.stops) for each in problems_of(folder)] == [("unreadable", True)] * 2


def test_a_class_that_groups_tie_to_another(record):
    """Its photos cannot be tested without those of the other class, which is listed with the small one."""
    records = [
        *(record(f"a/{i}", 0, group="together") for i in range(2)),
        *(record(f"b/{i}", 1, group="together" if i < 2 else None) for i in range(8)),
        record("c/0", 2),
    ]
    photos, copies = PhotoSet(("a", "b", "c"), (), bytes), find_near_duplicates([each.seen for each in records])
    splits = assign_splits(records, photos.labels, copies, stop=False)
    examined = Examined(tuple(records), np.empty((0, 0), np.float32), np.empty(0, np.int64), (), 0, 0, ())
    found = list_problems(photos, examined, splits, splits.warnings)
    assert [(each.kind, each.classes) for each in found if each.stops] == [("too_few", ("a",)), ("too_few", ("c",))]
    assert "1 of them distinct and unassigned" in found[0].message
    assert set(splits.splits) <= {"train", "val", "test"}


def test_the_first_kind_that_stops_is_raised_and_warnings_are_not():
    warning = Problem("warning", "mind the gap")
    stop_for([warning])
    few = [
        Problem("too_few", f"'{i}' has 1{'?' * (i == 1)}", stops=True, rule="each needs two", fix="Add some.")
        for i in range(12)
    ]
    with pytest.raises(PhotosError) as error:
        stop_for([warning, *few, Problem("tied", "tied", stops=True)])
    assert error.value.message.startswith("'0' has 1. '1' has 1? '2' has 1. ")
    assert error.value.message.endswith(". '9' has 1")
    assert error.value.hint == "Each needs two. Add some."


def test_typos_are_told_only_of_classes_with_photos():
    labels = ("sandals", "snadals")
    (typo,) = typos(labels, np.array([0] * 20 + [1]))
    assert typo.message == "class 'snadals' has 1 photo; is that a typo of 'sandals', which has 20?"
    assert typo.stops is False
    assert typos(labels, np.array([0] * 20)) == typos(labels, np.array([], np.int64)) == []


@pytest.mark.parametrize(
    ("counts", "reported"), [((10, 50), True), ((10, 49), False), ((0, 50), False), ((0, 0), False)]
)
def test_uneven_classes(counts, reported):
    found = uneven(("a", "b"), np.repeat(np.arange(2), counts))
    assert [each.message for each in found] == ["the classes are uneven: 50 photos of 'b', 10 of 'a'"] * reported
