"""Splits of photos that are of scenes, with and without an earlier split."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.scan.near_duplicates import NearDuplicates, join
from lungfish.data.scan.scenes import Scenes
from lungfish.data.split.assign import assign_splits
from lungfish.data.split.balance import Piece, even_out_class
from lungfish.data.split.photos_csv import SplitRow, saved_split

LABELS = ("cat", "dog")


def scenes(*members: list[int]) -> Scenes:
    pairs = [(scene[0], i) for scene in members for i in scene[1:]]
    return Scenes(np.array(pairs, np.int64).reshape(-1, 2), 0)


def divide(records, *members, saved=None, copies=()):
    pairs = np.array(copies, np.int64).reshape(-1, 2)
    near = NearDuplicates(pairs, join(len(records), pairs))
    return assign_splits(records, LABELS, near, saved, scenes(*members))


def runs(first, count, length):
    """`count` scenes of `length` photos."""
    return [list(range(first + k * length, first + (k + 1) * length)) for k in range(count)]


@pytest.fixture
def many(record):
    def make(count, **fields):
        return [record(f"{name}/{i:05d}", label, **fields) for label, name in enumerate(LABELS) for i in range(count)]

    return make


def rows_of(records, splits, label=0):
    return [SplitRow(r.seen.sha256, r.photo.name, LABELS[label], s, "") for r, s in zip(records, splits, strict=True)]


def test_scenes_stay_together_and_every_split_has_its_share(many):
    assigned = divide(many(100), *runs(0, 20, 5), *runs(100, 20, 5))
    splits = np.array(assigned.splits).reshape(-1, 5)
    assert (splits == splits[:, :1]).all()
    for cats in (splits[:20, 0], splits[20:, 0]):
        counts = Counter(cats.tolist())
        assert all(1 <= counts[split] <= 5 for split in ("val", "test"))
    assert assigned.warnings == ()
    assert assigned.units.tolist() == np.repeat(np.arange(40), 5).tolist()
    assert assigned.how["with a copy, group or scene"] == 160


def test_a_growing_scene_follows_its_first_photo(record):
    """In the order that people count in: 9 before 10."""
    names = [f"cat/IMG_{i}" for i in range(8, 13)] + [f"dog/{i}" for i in range(20)] + [f"cat/z{i}" for i in range(20)]
    records = sorted((record(name, int(name.startswith("dog"))) for name in names), key=lambda r: r.photo.name)
    place = {r.photo.name: i for i, r in enumerate(records)}
    assigned = divide(records, sorted(place[f"cat/IMG_{i}"] for i in range(8, 13)))
    assert assigned.reasons[place["cat/IMG_8"]] == "content hash"
    assert assigned.reasons[place["cat/IMG_10"]] == "with cat/IMG_8"


@pytest.mark.parametrize("lengths", [[20], [10, 10], [18, 1, 1], [12, 4, 4]])
def test_too_few_scenes_of_a_class_are_divided_with_a_warning(many, lengths):
    ends = np.cumsum(lengths).tolist()
    members = [list(range(end - length, end)) for end, length in zip(ends, lengths, strict=True)]
    assigned = divide(many(20), *members, *runs(20, 5, 4))
    cats = Counter(assigned.splits[:20])
    whole = len(lengths) == 3
    assert min(cats[split] for split in ("train", "val", "test")) >= 1
    assert cats["train"] >= 10
    warned = "too few scenes to keep each in one split: cat; scenes were divided, so the figures are too optimistic"
    assert assigned.warnings == (() if whole else (warned,))
    dogs = np.array(assigned.splits[20:]).reshape(-1, 4)
    assert (dogs == dogs[:, :1]).all()


def test_one_scene_only(many):
    assigned = divide(many(30), list(range(30)), list(range(30, 60)))
    assert set(assigned.splits[:30]) == set(assigned.splits[30:]) == {"train", "val", "test"}
    assert assigned.warnings[0].startswith("too few scenes to keep each in one split: cat, dog;")


def test_groups_stay_strict(record):
    records = [
        record(f"{name}/{i}", label, group=f"{name}{i % 2}") for label, name in enumerate(LABELS) for i in range(9)
    ]
    with pytest.raises(PhotosError, match="'cat' has 9 photos, 2 of them"):
        divide(records, [0, 1, 2])


def test_a_new_photo_joins_the_split_of_its_scene(record, many):
    old = many(6)
    splits = ["train", "train", "test", "val", "train", "train"] * 2
    saved = saved_split(rows_of(old, splits))
    records = [*old, record("x/new", 0)]
    for i, split in ((0, "train"), (2, "test"), (3, "val")):
        assigned = divide(records, [i, 12], saved=saved)
        assert (assigned.splits[12], assigned.reasons[12]) == (split, f"with {old[i].photo.name}")
        assert list(assigned.splits[:12]) == splits
        assert assigned.warnings == ()


def test_a_photo_that_bridges_two_scenes_moves_nothing_and_is_reported(record, many):
    old = many(6)
    splits = ["train", "train", "test", "val", "train", "train"] * 2
    records = [*old, record("x/new", 0)]
    assigned = divide(records, [0, 1, 2, 12], saved=saved_split(rows_of(old, splits)))
    assert list(assigned.splits[:12]) == splits
    assert assigned.splits[12] == "train"
    bridge, across = assigned.warnings
    assert (
        bridge
        == "1 new photo belongs to a scene whose photos are in two splits; nothing was moved: x/new (joins train)"
    )
    assert across.endswith(
        "different splits, so the figures are too optimistic: cat/00000 (train) and cat/00002 (test)"
    )
    copied = divide(records, [0, 1, 2, 12], saved=saved_split(rows_of(old, splits)), copies=[(2, 12)])
    assert (copied.splits[12], copied.reasons[12]) == ("test", "with cat/00002"), "a copy is a closer tie"


def test_a_given_split_is_kept_and_its_scenes_are_told(many):
    records = many(6, split="train")
    for i in (1, 7):
        records[i] = type(records[i])(type(records[i].photo)(f"a/{i}", records[i].photo.label, "test"), records[i].seen)
    for i in (2, 8):
        records[i] = type(records[i])(type(records[i].photo)(f"v/{i}", records[i].photo.label, "val"), records[i].seen)
    assigned = divide(records, [0, 1])
    assert list(assigned.splits) == ["train", "test", "val", "train", "train", "train"] * 2
    assert "1 pair of photos of one scene is in different splits" in assigned.warnings[0]


def test_an_automatic_split_yields_to_a_given_one_and_says_so(record):
    records = [
        record(f"{split}/{i}", i % 2, str(i), split=split) for i, split in enumerate(["train", "test", "val"] * 4)
    ]
    saved = saved_split(rows_of(records, ["test"] * 12), is_automatic=True)
    assigned = divide(records, saved=saved)
    assert list(assigned.splits) == ["train", "test", "val"] * 4
    assert assigned.warnings[0].startswith(
        "4 test photos of the previous bundle are training photos now, according to the given split: train/0"
    )
    asked = divide(records, saved=saved_split(rows_of(records, ["test", "train", "val"] * 4)))
    assert list(asked.splits) == ["test", "train", "val"] * 4
    assert set(asked.reasons) == {"saved"}


@pytest.mark.parametrize("sizes", [(6, 12, 30, 60)])
def test_growing_moves_no_photo_if_the_last_split_is_kept(record, sizes):
    saved, old = None, {}
    for size in sizes:
        records = sorted(
            (record(f"{name}/{i * 7919 % 1000:03d}", label) for label, name in enumerate(LABELS) for i in range(size)),
            key=lambda r: r.photo.name,
        )
        ordered = {label: [i for i, r in enumerate(records) if r.photo.label == label] for label in range(2)}
        members = [mine[k : k + 3] for mine in ordered.values() for k in range(0, len(mine) - 2, 7)]
        assigned = divide(records, *members, saved=saved)
        now = {r.photo.name: split for r, split in zip(records, assigned.splits, strict=True)}
        assert {name: now[name] for name in old} == old
        saved = saved_split(rows_of(records, assigned.splits), is_automatic=True)
        old = now


def test_even_out_moves_as_little_as_it_can():
    def piece(share, size, split):
        return Piece(share, split, range(size))

    pieces = [piece(0.01, 30, "test"), piece(0.5, 5, "train"), piece(0.6, 5, "train"), piece(0.7, 60, "train")]
    assert even_out_class(pieces, ["test", "val"])
    assert [each.split for each in pieces] == ["train", "test", "val", "train"]
    assert not even_out_class([piece(0.3, 10, "train")], ["test", "val"])
    enough = [piece(0.01 * i, 1, split) for i, split in enumerate(["test"] * 2 + ["val"] * 2 + ["train"] * 16)]
    assert even_out_class(enough, ["test", "val"])
    assert Counter(each.split for each in enough) == {"test": 2, "val": 2, "train": 16}
