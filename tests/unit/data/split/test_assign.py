from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.scan.near_duplicates import NearDuplicates, find_near_duplicates, join
from lungfish.data.split.assign import assign_splits
from lungfish.data.split.balance import fraction
from lungfish.data.split.photos_csv import SplitRow, saved_split
from lungfish.data.split.plan import TEST_SHARE
from lungfish.data.split.review import PhotoPair

LABELS = ("cat", "dog")


def copies(count: int, *pairs: tuple[int, int]) -> NearDuplicates:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return NearDuplicates(array, join(count, array))


def assigned(records, *pairs, labels=LABELS, saved=None):
    """Name to side."""
    assigned = assign_splits(records, labels, copies(len(records), *pairs), saved)
    return dict(zip((record.photo.name for record in records), assigned.splits, strict=True))


@pytest.fixture
def many(record):
    """So many photos of each class, sorted by name."""

    def make(count, first=0, **fields):
        return [
            record(f"{name}/{i:05d}", label, **fields) for label, name in enumerate(LABELS) for i in range(first, count)
        ]

    return make


def test_about_eighty_ten_ten(many):
    assigned = assign_splits(many(2000), LABELS, copies(4000))
    counts = Counter(assigned.splits)
    assert abs(counts["train"] - 3200) < 80
    assert abs(counts["val"] - 400) < 60
    assert abs(counts["test"] - 400) < 60
    assert set(assigned.reasons) == {"content hash"}
    assert assigned.warnings == assigned.leaks == ()


def test_adding_photos_moves_none(many):
    before = assigned(many(200))
    after = assigned(many(400))
    assert {name: after[name] for name in before} == before


def test_removing_and_renaming_moves_none(record):
    before = [record(f"cat/{i}", 0, f"c{i}") for i in range(200)] + [record(f"dog/{i}", 1, f"d{i}") for i in range(200)]
    renamed = [record(f"cat/x{i}", 0, f"c{i}") for i in range(100)] + before[200:]
    old, new = assigned(before), assigned(renamed)
    assert all(new[f"cat/x{i}"] == old[f"cat/{i}"] for i in range(100))
    assert all(new[f"dog/{i}"] == old[f"dog/{i}"] for i in range(200))


@pytest.mark.parametrize("count", range(3, 30))
def test_every_class_is_on_every_side(record, count):
    records = [record(f"{count} {name}/{i}", label) for label, name in enumerate(LABELS) for i in range(count)]
    chosen = assigned(records)
    for name in LABELS:
        assert {split for photo, split in chosen.items() if name in photo} == {"train", "val", "test"}


def test_too_few_photos_of_a_class(record):
    records = [record(f"cat/{i}", 0) for i in range(2)] + [record(f"dog/{i}", 1) for i in range(9)]
    with pytest.raises(PhotosError, match="'cat' has 2 photos; the minimum is 3\nTrain") as error:
        assigned(records)
    assert "'dog'" not in error.value.message
    rule = "Train, val and test each need a photo of every class; copies, and photos of one group, count once. "
    assert error.value.hint.startswith(f"{rule}Add photos")


def test_copies_do_not_make_a_class_large_enough(record):
    records = [record(f"cat/{i}", 0) for i in range(5)] + [record(f"dog/{i}", 1) for i in range(9)]
    with pytest.raises(PhotosError, match="'cat' has 5 photos, 2 of them distinct and unassigned; the minimum is 3"):
        assigned(records, (0, 1), (0, 2), (0, 3))


def test_training_photos_that_are_all_copies_of_test_photos(record):
    records = [
        record(f"{split}/{name}/{i}", label, f"{name} {i}", split=split)
        for split in ("test", "train")
        for label, name in enumerate(LABELS)
        for i in range(6)
    ]
    with pytest.raises(PhotosError) as error:
        assign_splits(records, LABELS, find_near_duplicates([r.seen for r in records]))
    assert (
        "'cat' has 12 photos, 0 of them distinct and unassigned (6 in a given split, 6 tied to photos in a given split,"
        " as copies or by a group); the minimum is 2. 'dog' has 12 photos"
    ) in error.value.message
    assert error.value.hint.startswith("Train and val each need a photo of every class")
    assert "other classes" not in error.value.message


def test_copies_and_groups_stay_together(record):
    cats = [record(f"cat/{i:03d}", 0, group=f"owner {i % 20}") for i in range(100)]
    dogs = [record(f"dog/{i:03d}", 1) for i in range(100)]
    pairs = [(100 + i, 101 + i) for i in range(0, 100, 2)]
    chosen = list(assigned(cats + dogs, *pairs).values())
    assert all(len({chosen[i] for i in range(owner, 100, 20)}) == 1 for owner in range(20))
    assert all(chosen[a] == chosen[b] for a, b in pairs)
    assert set(chosen) == {"train", "val", "test"}


def test_a_later_copy_joins_the_earlier_one(record):
    alone = [record(f"cat/{i:03d}", 0) for i in range(100)] + [record(f"dog/{i:03d}", 1) for i in range(100)]
    before = assigned(alone)
    added = sorted([*alone, *(record(f"cat/{i:03d}b", 0) for i in range(100))], key=lambda r: r.photo.name)
    place = {r.photo.name: i for i, r in enumerate(added)}
    pairs = [(place[f"cat/{i:03d}"], place[f"cat/{i:03d}b"]) for i in range(100)]
    after = assigned(added, *pairs)
    assert {name: after[name] for name in before} == before
    assert all(after[f"cat/{i:03d}b"] == before[f"cat/{i:03d}"] for i in range(100))
    reasons = assign_splits(added, LABELS, copies(len(added), *pairs)).reasons
    assert reasons[1] == "with cat/000"


def test_a_given_split_is_kept_and_leaks_are_told(record):
    records = [
        record(f"{split}/{name}/{i}", label, split=split)
        for split in ("test", "train", "val")
        for label, name in enumerate(LABELS)
        for i in range(2)
    ]
    records.append(record("val/dog/9", 1, "test/cat/0", split="val"))
    assigned = assign_splits(records, LABELS, find_near_duplicates([r.seen for r in records]))
    assert list(assigned.splits) == [r.photo.split for r in records]
    assert set(assigned.reasons) == {"given"}
    assert assigned.leaks == (PhotoPair("test/cat/0", "test", "val/dog/9", "val", exact=True),)
    optimistic = "1 pair of copies is in different splits, so the figures are too optimistic"
    assert assigned.warnings == (
        f"{optimistic}: test/cat/0 (test) and val/dog/9 (val)",
        "1 pair of copies in two classes: test/cat/0 (cat) and val/dog/9 (dog)",
    )


def test_one_folder_as_all_three_sides_is_warned_of(record):
    records = [
        record(f"{split}/{name}/{i}", label, f"{name} {i}", split=split)
        for split in ("test", "train", "val")
        for label, name in enumerate(LABELS)
        for i in range(10)
    ]
    assigned = assign_splits(records, LABELS, find_near_duplicates([r.seen for r in records]))
    assert len(assigned.leaks) == 40
    (warning,) = assigned.warnings
    assert warning.startswith(
        "40 pairs of copies are in different splits, so the figures are too optimistic: "
        "test/cat/0 (test) and train/cat/0 (train); "
    )
    assert warning.count(" and ") == 5


def test_a_group_on_two_given_sides_is_warned_of(record):
    records = [
        record(f"{split}/{name}/{i}", label, split=split, group=f"owner of {name}" if i < 2 else f"{split} {name} {i}")
        for split in ("test", "train", "val")
        for label, name in enumerate(LABELS)
        for i in range(3)
    ]
    assigned = assign_splits(records, LABELS, copies(len(records)))
    assert [record.photo.split for record in records] == list(assigned.splits)
    (warning,) = assigned.warnings
    assert warning.startswith(
        "8 pairs of photos of one group are in different splits, so the figures are too optimistic: test/cat/0"
    )
    assert warning.count(" and ") == 5


def test_near_copies_across_given_sides_are_leaks_but_stay(many):
    records = many(10, split="train")
    test = [type(r)(type(r.photo)(f"test/{r.photo.name}", r.photo.label, "test"), r.seen) for r in many(10)]
    assigned = assign_splits(records + test, LABELS, copies(40, (3, 30)))
    assert assigned.leaks == (PhotoPair("cat/00003", "train", "test/dog/00000", "test", exact=False),)
    assert assigned.splits[3] == "train"
    assert assigned.reasons[3] == "given"


@pytest.mark.parametrize("lacking", [{"val"}, {"test"}, {"val", "test"}])
def test_what_a_given_split_lacks_is_carved_from_train(record, lacking):
    given = [split for split in ("train", "val", "test") if split not in lacking]
    records = [
        record(f"{split}/{n}/{i:03d}", label, split=split)
        for split in sorted(given)
        for label, n in enumerate(LABELS)
        for i in range(100)
    ]
    chosen = assigned(records)
    for split in ("val", "test"):
        names = [name for name, got in chosen.items() if got == split]
        assert 5 <= len(names) <= 400
        assert all(name.startswith("train/" if split in lacking else f"{split}/") for name in names)
        assert {name.split("/")[1] for name in names} == set(LABELS)


def test_photos_without_a_side_beside_given_ones(record):
    records = [record(f"a/{i:03d}", i % 2, split="test") for i in range(20)] + [
        record(f"b/{i:03d}", i % 2) for i in range(100)
    ]
    chosen = assigned(records)
    assert {split for name, split in chosen.items() if name.startswith("a/")} == {"test"}
    assert {split for name, split in chosen.items() if name.startswith("b/")} == {"train", "val"}


def test_a_class_that_is_tested_but_never_trained(record):
    records = [
        record("test/cat/0", 0, split="test"),
        record("train/dog/0", 1, split="train"),
        record("val/dog/0", 1, split="val"),
    ]
    with pytest.raises(PhotosError, match="no training photos of cat"):
        assigned(records)


def test_a_given_split_may_miss_a_class_with_a_warning(record):
    records = [
        record(f"{split}/{label}", label, split=split) for split in ("test", "train", "val") for label in (0, 1)
    ][1:]
    assigned = assign_splits(records, LABELS, copies(5))
    assert assigned.warnings == ("no test photos of cat",)


def test_a_saved_split_is_reused(many, record):
    records = many(100)
    first = assign_splits(records, LABELS, copies(200))
    turned = {"train": "test", "test": "val", "val": "train"}
    rows = [
        SplitRow(r.seen.sha256, r.photo.name, LABELS[r.photo.label], turned[split], "")
        for r, split in zip(records, first.splits, strict=True)
    ]
    more = [*records, *(record(f"new/{i:03d}", i % 2) for i in range(100))]
    again = assign_splits(more, LABELS, copies(300), saved_split(rows))
    assert list(again.splits[:200]) == [row.split for row in rows]
    assert set(again.reasons[:200]) == {"saved"}
    assert set(again.reasons[200:]) == {"content hash"}
    alone = dict(zip((r.photo.name for r in records), first.splits, strict=True))
    assert alone.keys() == {row.file for row in rows}


def test_a_new_copy_joins_a_saved_photo_that_comes_later(many, record):
    records = [record("a/first", 0), *many(50)]
    rows = [
        SplitRow(r.seen.sha256, r.photo.name, "", split, "")
        for r, split in zip(records[1:], ["test", "val", "train", "train"] * 25, strict=True)
    ]
    assigned = assign_splits(records, LABELS, copies(101, (0, 1)), saved_split(rows))
    assert assigned.splits[0] == "test"
    assert assigned.reasons[0] == "with cat/00000"


def test_how_it_was_divided(many, record):
    records = many(20)
    assert assign_splits(records, LABELS, copies(40)).how == {"content hash": 40}
    mixed = [*records[:10], record("b/copy", 0), *records[20:], record("z/new", 1)]
    rows = rows_of([*mixed[:10], *mixed[11:31]], ["train", "val", "test"] * 10)
    assigned = assign_splits(mixed, LABELS, copies(32, (0, 10)), saved_split(rows))
    assert assigned.how == {"saved": 30, "content hash": 1, "with a copy, group or scene": 1}
    given = [record(f"{split}/{i}", i % 2, split=split) for split in ("test", "train", "val") for i in range(4)]
    assert assign_splits(given, LABELS, copies(12)).how == {"given": 12}


def rows_of(records, assigned):
    return [
        SplitRow(r.seen.sha256, r.photo.name, LABELS[r.photo.label], split, "")
        for r, split in zip(records, assigned, strict=True)
    ]


@pytest.mark.parametrize(("assigned", "lacking"), [(("train", "val"), "test"), (("train", "test"), "val")])
def test_a_saved_split_that_leaves_a_side_empty(many, assigned, lacking):
    records = many(4)
    rows = rows_of(records, assigned * 4)
    with pytest.raises(PhotosError, match=f"the saved split leaves no {lacking} photos: 8 of 8 photos") as error:
        assign_splits(records, LABELS, copies(8), saved_split(rows))
    assert "--split none" in error.value.hint


def test_a_class_may_miss_a_saved_side(many, record):
    """Also when one photo of it is new, which could not fill both."""
    records = many(3)
    rows = rows_of(records, ["train", "train", "train", "train", "val", "test"])
    assigned = assign_splits(records, LABELS, copies(6), saved_split(rows))
    assert assigned.warnings == ("no val photos of cat", "no test photos of cat")
    more = [*records, record("x/new", 0)]
    assigned = assign_splits(more, LABELS, copies(7), saved_split(rows))
    assert assigned.splits[6] == "test"
    assert assigned.warnings == ("no val photos of cat",)


def test_a_class_whose_saved_photo_validates_is_trained_on_its_new_one(many, record):
    """Even where the content hash would have the new one test."""
    records = many(3)
    rows = rows_of([*records[:2], *records[3:]], ["val", "val", "train", "val", "test"])
    tested = next(i for i in range(1000) if fraction(record(f"x/{i}", 0).seen.sha256) < TEST_SHARE)
    known = [*records[:2], *records[3:]]
    assigned = assign_splits([*known, record(f"x/{tested}", 0)], LABELS, copies(6), saved_split(rows))
    assert (assigned.splits[5], assigned.reasons[5]) == ("train", "class needs it")
    with pytest.raises(PhotosError, match="no training photos of cat, only validation or test photos"):
        assign_splits([*known, record("x/new", 0)], LABELS, copies(6, (0, 5)), saved_split(rows))


@pytest.mark.parametrize(("known", "warned"), [(0, "none of 40 photos"), (8, "8 of 40 photos")])
def test_a_saved_split_of_other_photos_is_warned_of(many, known, warned):
    records = many(20)
    rows = rows_of(records[:known], (["train", "val", "test", "train"] * 10)[:known])
    assigned = assign_splits(records, LABELS, copies(40), saved_split(rows))
    assert assigned.warnings == (f"the saved split lists {warned}; photos not listed get a new split",)
    assert set(assigned.splits) == {"train", "val", "test"}


def test_classes_tied_together_by_groups_cannot_be_split(record):
    records = [record(f"{name}/{i}", label, group=str(i % 2)) for label, name in enumerate(LABELS) for i in range(10)]
    with pytest.raises(PhotosError, match="'cat' has 10 photos, 2 of them"):
        assigned(records)


def test_all_problems_are_collected_if_none_is_to_stop(record):
    """Two classes have too few units, and the photos of a third are tied to theirs."""
    groups = {"a": "303", "b": "451", "c": "10113", "d": "4544"}
    records = [
        record(f"{name}/{i}", label, f"26{name}{i}", group=group)
        for label, (name, each) in enumerate(groups.items())
        for i, group in enumerate(each)
    ]
    assigned = assign_splits(records, tuple(groups), copies(len(records)), stop=False)
    assert [(each.kind, each.classes, each.message) for each in assigned.problems] == [
        ("too_few", ("a",), "'a' has 3 photos, 2 of them distinct and unassigned; the minimum is 3"),
        ("too_few", ("d",), "'d' has 4 photos, 2 of them distinct and unassigned; the minimum is 3"),
        (
            "tied",
            ("b",),
            "class 'b' cannot have a val photo: its photos are tied to other classes by copies or groups",
        ),
    ]
    assert assigned.warnings == ()
    with pytest.raises(PhotosError, match=r"3 photos, 2 of them distinct and unassigned; the minimum is 3\. 'd' has"):
        assign_splits(records, tuple(groups), copies(len(records)))


def test_saved_problems_are_collected_too(record):
    records = [record(f"{name}/{i}", label) for label, name in enumerate(LABELS) for i in range(4)]
    rows = [SplitRow(each.seen.sha256, each.photo.name, "", "val", "") for each in records]
    assigned = assign_splits(records, LABELS, copies(8), saved_split(rows), stop=False)
    assert [each.kind for each in assigned.problems] == ["untrained", "saved_split"]
    assert assigned.problems[0].classes == LABELS
    assert "the saved split leaves no test photos" in assigned.problems[1].message
