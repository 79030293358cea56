from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lungfish.architecture import parse_arch
from lungfish.core.progress import Progress
from lungfish.data.sources import open_photos
from lungfish.deploy.classifier import Classifier
from lungfish.job.dataset import Dataset, DatasetOptions, prepare_dataset
from lungfish.job.start import Start
from lungfish.nn import build
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.probe import Head, fit_penalty
from lungfish.training.trunk import open_trunk
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import from_network, load_weights

LABELS = ("boot", "glove <i>", "größe")
SWAPPED = ("0/one-of-1.png", "2/one-of-0.png")


@dataclass(frozen=True, eq=False)
class Embedded:
    """Handwritten digits that went through a small network, and the head that was fitted on them."""

    dataset: Dataset
    classifier: Classifier
    head: Head


@pytest.fixture
def embedded(write_digits: Callable[..., Path], tmp_path: Path) -> Embedded:
    """Two of the training photos lie in the folder of another class, see `SWAPPED`."""
    folder = write_digits(tmp_path / "digits" / "train", count=30)
    for split, count in (("val", 4), ("test", 6)):
        for name in ("0", "1", "2"):
            (tmp_path / "digits" / split / name).mkdir(parents=True)
            for photo in sorted((folder / name).iterdir())[-count:]:
                shutil.move(photo, tmp_path / "digits" / split / name)
    for moved in SWAPPED:
        shutil.move(min((folder / moved[-5]).glob("0*.png")), folder / moved)

    entry = find_entry("efficientnet_lite0.in1k")
    assert entry is not None
    start = Start(parse_arch("efficientnet_lite0:resolution=64"), entry)
    network = load_weights(entry, start.arch)
    photos = open_photos(tmp_path / "digits")
    dataset = prepare_dataset(photos, start.preprocess, open_trunk(network, entry), DatasetOptions(), Progress())
    head = fit_penalty(dataset.samples(dataset.indices("train")), 0.1, balanced=False)
    network = network.with_classifier(head.weight, head.bias)
    return Embedded(dataset, Classifier(network, 1.0, dataset.labels, start.preprocess, entry), head)


@pytest.fixture
def swapped() -> tuple[str, ...]:
    return tuple(f"train/{name}" for name in SWAPPED)


@pytest.fixture
def classifier() -> Classifier:
    """Random weights, small enough to quantize in a moment: three classes at 64 px, temperature 2.

    The logits are far enough apart to see a mistake.
    """
    entry = find_entry("efficientnet_lite0.in1k")
    arch = parse_arch("efficientnet_lite0:width=0.2,depth=0.3,resolution=64,classes=3")
    network = build(arch, entry.flavour, seed=0)
    network.classifier.weight.data *= 20
    return Classifier(from_network(network), 2.0, LABELS, Preprocessing(64), entry)


@pytest.fixture
def pixels() -> np.ndarray:
    """Sixteen random pictures, some dark, some light."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 4, 4, 3)).repeat(16, axis=1).repeat(16, axis=2)
    return (coarse * rng.random((16, 1, 1, 1))).astype(np.uint8)
