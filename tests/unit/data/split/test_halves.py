from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.scan.near_duplicates import NearDuplicates, join
from lungfish.data.split.assignment import Assignment
from lungfish.data.split.halves import split_in_halves

LABELS = ("cat", "dog")
Make = Callable[..., Any]


def halves(records: Sequence[Any], *pairs: tuple[int, int]) -> Assignment:
    array = np.array(pairs, np.int64).reshape(-1, 2)
    return split_in_halves(records, LABELS, NearDuplicates(array, join(len(records), array)))


def test_each_class_is_halved_by_content(record: Make) -> None:
    records = [record(f"{name}/{i}", label) for label, name in enumerate(LABELS) for i in range(9)]
    divided = halves(records)
    counts = Counter(zip((each.photo.label for each in records), divided.splits, strict=True))
    assert counts == {(label, split): count for label in (0, 1) for split, count in (("val", 5), ("test", 4))}
    assert divided.how == {"in halves": 18}
    renamed = [record(f"{name}/x{i}", label, f"{name}/{i}") for label, name in enumerate(LABELS) for i in range(9)]
    assert halves(renamed).splits == divided.splits


def test_copies_and_groups_stay_together(record: Make) -> None:
    records = [record(f"{name}/{i}", label) for label, name in enumerate(LABELS) for i in range(6)]
    records += [record(f"{name}/g{i}", label, group=name) for label, name in enumerate(LABELS) for i in range(3)]
    divided = halves(records, (0, 5), (6, 7))
    assert divided.splits[0] == divided.splits[5]
    assert divided.splits[6] == divided.splits[7]
    for first in (12, 15):
        assert len(set(divided.splits[first : first + 3])) == 1
    assert divided.leaks == divided.warnings == ()


def test_given_splits_are_kept(record: Make) -> None:
    splits = ("train", "val", "test", "test")
    records = [record(f"{name}/{i}", k, split=split) for k, name in enumerate(LABELS) for i, split in enumerate(splits)]
    divided = halves(records, (0, 2))
    assert divided.splits == splits * 2
    assert set(divided.reasons) == {"given"}
    assert [(leak.split, leak.copy_split) for leak in divided.leaks] == [("train", "test")]
    assert len(divided.warnings) == 1


@pytest.mark.parametrize("split", ["test", "val"])
def test_photos_that_were_trained_on_are_not_measured(record: Make, split: str) -> None:
    """With one of the two splits alone, its photos are halved; what was given as train stays so."""
    splits = ("train", "train", split, split)
    records = [record(f"{name}/{i}", k, split=split) for k, name in enumerate(LABELS) for i, split in enumerate(splits)]
    assert [divided == "train" for divided in halves(records).splits] == [split == "train" for split in splits * 2]
    assert Counter(halves(records).splits) == {"train": 4, "val": 2, "test": 2}


def test_too_few(record: Make) -> None:
    records = [record("cat/0", 0), record("cat/1", 0), record("dog/0", 1), record("dog/1", 1)]
    assert set(halves(records).splits) == {"val", "test"}
    with pytest.raises(PhotosError, match=r"'dog' has 1 photo for validation and test; the minimum is 2"):
        halves(records[:3])
    with pytest.raises(PhotosError, match=r"'dog' has 2 photos .*copies count once"):
        halves(records, (2, 3))
