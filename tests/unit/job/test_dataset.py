import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lungfish.core.progress import Progress
from lungfish.data.photos import SPLITS
from lungfish.data.sources import open_photos
from lungfish.job import dataset as module
from lungfish.job.dataset import Dataset, DatasetOptions, prepare_dataset
from lungfish.runtime.preprocessing import Preprocessing

ALL, SPARING = 1000, 0  # `cross_validate_below`


class Means:
    """A trunk whose features are the channels' means."""

    key, width = "means", 3

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        means: NDArray[np.float32] = pixels.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
        return means


def dataset_from(folder: Path, cross_validate_below: int = SPARING) -> Dataset:
    return prepare_dataset(
        open_photos(folder), Preprocessing(32), Means(), DatasetOptions(None, cross_validate_below), Progress()
    )


@pytest.fixture
def digits(write_digits: Callable[..., Path], tmp_path: Path) -> Path:
    """Three classes of 40 photos, not divided."""
    return write_digits(tmp_path / "digits", count=40)


def test_of_many_photos_the_head_learns_from_a_sample(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dataset_from(digits)
    assert whole.sampled() == ""
    assert whole.embedded.tolist() == list(range(120))
    monkeypatch.setattr(module, "HEAD_PHOTOS", 30)
    some = dataset_from(digits)
    train, val = some.embedded_indices("train"), some.indices("val")
    assert some.assignment.splits == whole.assignment.splits
    assert np.bincount(some.truth[train]).tolist() == pytest.approx([10, 10, 10], abs=1)
    assert some.sampled() == f"The head learns from {len(train)} of {len(some.indices('train'))} training photos"
    assert some.embedded.tolist() == sorted([*train, *val])
    assert len(some.examined.features) == len(train) + len(val), "memory holds no others"
    for split, positions in (("train", train), ("val", val)):
        assert some.embedded_indices(split).tolist() == positions.tolist()
        assert some.samples(positions).features.tobytes() == whole.samples(positions).features.tobytes()
    assert some.embedded_indices("train", "val").tolist() == some.embedded.tolist()


def test_a_small_set_has_all_features_if_it_is_cross_validated(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_PHOTOS", 30)
    dataset = dataset_from(digits, cross_validate_below=ALL)
    assert [len(dataset.embedded_indices(split)) for split in SPLITS] == list(dataset.counts().values())
    assert dataset.sampled() == ""


def test_rare_classes_are_never_lost(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for photo in sorted((digits / "1").iterdir())[8:]:
        photo.unlink()
    monkeypatch.setattr(module, "HEAD_PHOTOS", 8)
    dataset = dataset_from(digits)
    train = dataset.truth[dataset.indices("train")]
    sample = dataset.truth[dataset.embedded_indices("train")]
    assert np.bincount(sample).tolist() == np.minimum(np.bincount(train), module.LEAST_OF_CLASS).tolist()


def test_new_names_change_the_order_but_not_the_photos(digits: Path, tmp_path: Path) -> None:
    def fingerprints(folder: Path) -> tuple[str, str]:
        dataset = dataset_from(folder)
        return dataset.fingerprint(), dataset.ordered_fingerprint()

    photos, order = fingerprints(digits)
    copy = shutil.copytree(digits, tmp_path / "elsewhere" / "copy")
    assert fingerprints(copy) == (photos, order)
    (copy / "0" / "0000.png").rename(copy / "0" / "last.png")
    renamed = fingerprints(copy)
    assert renamed[0] == photos
    assert renamed[1] != order
