"""The previous bundle answers a new job's test photos."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungfish.core.errors import BundleError, UnreadablePhotoError
from lungfish.core.hashing import sha256_file
from lungfish.core.progress import Progress
from lungfish.data.split.photos_csv import SplitRow, write_split
from lungfish.job.bundle.what_changed import NewAnswers, what_changed_since


@pytest.fixture
def previous(write_color_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    return write_color_bundle(tmp_path / "photos-bundle", labels=("blue", "red", "green"))


@pytest.fixture
def new(color_photos: Path) -> NewAnswers:
    """A job without green but with teal, which takes one red photo for teal; its test photos are all there are."""
    (color_photos / "green").rename(color_photos / "teal")
    files = sorted(color_photos.rglob("*.png"))
    labels = ("red", "teal", "blue")
    truth = np.array([labels.index(file.parent.name) for file in files])
    answers = np.eye(3, dtype=np.float32)[truth]
    answers[files.index(color_photos / "red" / "0.png")] = [0, 1, 0]
    return NewAnswers(labels, [file.read_bytes for file in files], truth, answers)


def test_shared_classes_are_compared(previous: Path, new: NewAnswers) -> None:
    changed = what_changed_since(previous, new, Progress())
    value = changed.to_json()
    assert (value["old"], value["added"], value["removed"]) == ("photos-bundle", ["teal"], ["green"])
    assert [(row["label"], row["both_right"], row["only_old_right"]) for row in value["classes"]] == [
        ("red", 2, 1),
        ("blue", 3, 0),
    ]
    assert (value["left_out"], value["unlisted"]) == ({"trained_on": 0, "other_classes": 3}, ["photos-bundle"])
    assert value["answered_added"] == 1


def test_photos_that_the_previous_bundle_was_trained_on_are_left_out(
    previous: Path, new: NewAnswers, color_photos: Path, rewrite: Callable[..., Any]
) -> None:
    splits = {"0.png": "train", "1.png": "val", "2.png": "test"}
    rows = [
        SplitRow(sha256_file(file), file.name, file.parent.name, splits[file.name], "")
        for file in color_photos.rglob("*.png")
    ]
    listed = previous / "photos.csv"
    write_split(listed, rows)
    row = {"sha256": sha256_file(listed), "bytes": listed.stat().st_size}
    rewrite(previous, lambda manifest: manifest["files"].update({"photos.csv": row}))
    changed = what_changed_since(previous, new, Progress())
    assert (changed.overall.both, changed.overall.n) == (4, 4)  # the photo that was lost is one of those
    assert (changed.against.trained_on, changed.against.unlisted) == (2, ())


def test_unreadable_photos_do_not_shift_the_others(previous: Path, new: NewAnswers) -> None:
    def gone() -> bytes:
        raise UnreadablePhotoError("it vanished")

    new.readers[0] = gone  # a blue one
    changed = what_changed_since(previous, new, Progress())
    assert (changed.overall.both, changed.overall.only_old, changed.overall.n) == (4, 1, 5)


def test_other_classes_and_damaged_bundles(
    previous: Path, new: NewAnswers, write_color_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    other = NewAnswers(("hat", "shoes", "cap"), new.readers, new.truth, new.probabilities)
    changed = what_changed_since(previous, other, Progress())
    assert (changed.overall.n, changed.classes, changed.against.other_classes) == (0, (), 9)
    (previous / "labels.txt").write_text("x")
    with pytest.raises(BundleError, match=r"labels\.txt"):
        what_changed_since(previous, new, Progress())
