from __future__ import annotations

from dataclasses import replace

import pytest

from lungfish.data.scan.sequences import consecutive_pairs, natural_key


def pairs(record, *names, label=lambda name: name.split("/")[0]):
    labels = sorted({label(name) for name in names})
    records = [record(name, labels.index(label(name))) for name in sorted(names)]
    return {(sorted(names)[a], sorted(names)[b]) for a, b in consecutive_pairs(records).tolist()}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("IMG_1234.jpg", "IMG_1235.jpg"),
        ("IMG_9.jpg", "IMG_10.jpg"),
        ("IMG_0999.jpg", "IMG_1002.jpg"),
        ("glass12.jpg", "glass13.jpg"),
        ("IMG-20200131-WA0001.jpg", "IMG-20200131-WA0002.jpg"),
        ("frame_0001_crop.png", "frame_0002_crop.png"),
        ("IMG_20200131_101500.jpg", "IMG_20200131_101555.jpg"),
        ("IMG_20200131_235959.jpg", "IMG_20200201_000010.jpg"),
        ("20200131_101500123.jpg", "20200131_101530456.jpg"),
    ],
)
def test_names_that_follow_each_other(record, first, second):
    assert pairs(record, f"cup/{first}", f"cup/{second}") == {tuple(sorted((f"cup/{first}", f"cup/{second}")))}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("IMG_1234.jpg", "IMG_1240.jpg"),
        ("009b3c31-fb62-45c0-be9a-37a5c238cb88.jpg", "041c6bde-e737-46fd-9586-984c1503941f.jpg"),
        ("IMG_20200131_101500.jpg", "IMG_20200131_101700.jpg"),
        ("IMG_20201331_101500.jpg", "IMG_20201331_101555.jpg"),  # no such month, and a gap of 55
        ("red.jpg", "green.jpg"),
        ("cup1_front.jpg", "cup2_back.jpg"),
        ("a/1.jpg", "b/2.jpg"),
    ],
)
def test_names_that_do_not(record, first, second):
    assert pairs(record, f"cup/{first}", f"cup/{second}") == set()


def test_classes_are_apart_and_a_sequence_reaches_three_places(record):
    assert pairs(record, "cup/1.jpg", "mug/2.jpg") == set()
    names = [f"cup/{i}.jpg" for i in range(1, 6)]
    found = pairs(record, *names)
    assert {(int(a[4]), int(b[4])) for a, b in found} == {
        (i, j) for i in range(1, 6) for j in range(i + 1, min(i + 4, 6))
    }


def test_folders_of_a_given_split_count_as_one(record):
    records = [record("test/cup/1.jpg", 0, split="test"), record("train/cup/2.jpg", 0, split="train")]
    assert consecutive_pairs(records).tolist() == [[0, 1]]
    assert consecutive_pairs([record("a/1.jpg", 0), record("b/2.jpg", 0)]).tolist() == []


def test_times_link_photos_whatever_their_names_but_rows_of_a_table_only_by_time(record):
    records = [record("cup/x", 0), record("cup/y", 0), record("cup/z", 0)]
    timed = [replace(each, taken=time) for each, time in zip(records, (1000, 1055, 5000), strict=True)]
    assert consecutive_pairs(timed).tolist() == [[0, 1]]
    rows = [record(f"table/{i}", 0) for i in range(3)]
    rows = [replace(each, photo=replace(each.photo, row=i)) for i, each in enumerate(rows)]
    assert consecutive_pairs(rows).tolist() == []
    assert consecutive_pairs([replace(rows[0], taken=5), replace(rows[1], taken=6), rows[2]]).tolist() == [[0, 1]]


def test_natural_order():
    assert sorted(["a10", "a9", "b1", "a", "9", "10"], key=natural_key) == ["9", "10", "a", "a9", "a10", "b1"]
