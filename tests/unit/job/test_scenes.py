"""Scenes of real files, with a descriptor that is easy to check: the photo itself, at 4 x 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.progress import Progress
from lungfish.data.scan.scenes import Descriptor
from lungfish.data.sources import open_photos
from lungfish.job import dataset as module
from lungfish.job.dataset import Dataset, DatasetOptions, prepare_dataset
from lungfish.runtime.preprocessing import Preprocessing

RULE = Preprocessing(32)


class Coarse:
    """Counts the photos that it has seen."""

    width = 48

    def __init__(self, key: str) -> None:
        self.key, self.seen = key, 0

    def __call__(self, pixels: NDArray[np.uint8], /) -> NDArray[np.float32]:
        self.seen += len(pixels)
        blocks = pixels.reshape(len(pixels), 4, 8, 4, 8, 3).mean(axis=(2, 4), dtype=np.float64)
        coarse: NDArray[np.float32] = (blocks.reshape(len(pixels), -1) - 128).astype(np.float32)
        return coarse


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Bursts of four photos of one thing each, numbered through; no two photos are copies."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for label in ("cup", "mug"):
        (folder / label).mkdir(parents=True)
        for i in range(24):
            if i % 4 == 0:
                thing = rng.integers(0, 200, (6, 6, 3))
            texture = thing + rng.integers(0, 50, (6, 6, 3))
            Image.fromarray(texture.astype(np.uint8)).resize((48, 48)).save(folder / label / f"IMG_{i:04}.png")
    return folder


def look(folder: Path, descriptor: Descriptor | None, trunk: Coarse | None = None) -> Dataset:
    return prepare_dataset(
        open_photos(folder), RULE, trunk, DatasetOptions(open_descriptor=lambda: descriptor), Progress()
    )


@pytest.fixture
def descriptor() -> Descriptor:
    return Descriptor(Coarse("fixed"), RULE)


def test_bursts_go_to_one_split(photos: Path, descriptor: Descriptor) -> None:
    dataset = look(photos, descriptor)
    assert dataset.scenes.sizes == (4,) * 12
    assert dataset.scenes.in_sequence == 48
    splits = np.array(dataset.assignment.splits).reshape(12, 4)
    assert (splits == splits[:, :1]).all()
    assert set(splits[:, 0]) == {"train", "val", "test"}


def test_the_features_of_the_job_serve_if_they_are_the_same(photos: Path, descriptor: Descriptor) -> None:
    own = Coarse("fixed")
    same = look(photos, descriptor, own)
    assert own.seen == 48
    assert descriptor.trunk.seen == 0  # type: ignore[attr-defined]
    other = look(photos, descriptor, Coarse("other"))
    assert descriptor.trunk.seen == 0, "cached by the pass before"  # type: ignore[attr-defined]
    assert other.assignment.splits == same.assignment.splits == look(photos, descriptor).assignment.splits


def test_what_cannot_be_known_is_said(photos: Path, descriptor: Descriptor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not on this machine" in look(photos, None).scenes.unknown
    monkeypatch.setattr(module, "HEAD_PHOTOS", 40)
    many = prepare_dataset(
        open_photos(photos), RULE, None, DatasetOptions(None, 10, open_descriptor=lambda: descriptor), Progress()
    )
    assert many.scenes.unknown == "scenes are not searched for among more than 40 photos"
    assert many.scenes.sizes == ()
