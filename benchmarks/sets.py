"""The sets of photos that transfer is measured on, as folders that both Lungfish and timm read.

Each is `train/`, maybe `validation/`, and `test/` folders of class folders:

clothing       clothing-small as it is.
trashnet-K     trashnet-small, K from 0 to 2; no scene (`data.scan.scenes`) is in training and test photos both.
cifar-shift    CIFAR-10 with a natural shift: of each class, 8 k-means clusters of EfficientNet-Lite2 features; 120
               training photos from 6 of them, 60 test photos from the other 2.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.architecture import parse_arch
from lungfish.core.progress import Progress
from lungfish.data.sources import open_photos
from lungfish.job.dataset import DatasetOptions, prepare_dataset
from lungfish.training.descriptor import open_descriptor
from lungfish.training.trunk import OnnxTrunk
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import load_weights

SETS = ("clothing", "trashnet-0", "trashnet-1", "trashnet-2", "cifar-shift")
TEST_SHARE = 0.25  # of trashnet's scenes
CIFAR_POOL, CIFAR_TRAIN, CIFAR_TEST = 1200, 120, 60  # photos of a class: clustered, and taken of the clusters
CLUSTERS, OUTSIDE = 8, 2
LITE2_PX = 128  # enlarged from 32; the clusters need no more


def open_set(name: str, data: Path, work: Path) -> Path:
    """Return the folder of a set; what is not there as it should be is made in `work`, once.

    Args:
        name: one of `SETS`.
        data: holds `clothing-small`, `trashnet-small` and `cifar10`.
        work: for the sets that are made; kept between runs.
    """
    if name == "clothing":
        return data / "clothing-small"
    folder = work / name
    if not folder.is_dir():
        making = folder.with_name(f"{name}.making")
        shutil.rmtree(making, ignore_errors=True)
        if name == "cifar-shift":
            _make_cifar(data / "cifar10" / "train.parquet", making)
        else:
            _make_trashnet(data / "trashnet-small", making, seed=int(name[-1]))
        making.rename(folder)
    return folder


def _make_trashnet(source: Path, folder: Path, seed: int) -> None:
    photos = open_photos(source)
    descriptor = open_descriptor()
    assert descriptor
    options = DatasetOptions(open_descriptor=lambda: descriptor)
    dataset = prepare_dataset(photos, descriptor.preprocess, None, options, Progress())
    units, truth = dataset.assignment.units, dataset.truth
    rng = np.random.default_rng(seed)
    for label, name in enumerate(dataset.labels):
        of_class = np.flatnonzero(truth == label)
        wanted, taken = TEST_SHARE * len(of_class), 0
        for unit in rng.permutation(np.unique(units[of_class])):
            members = of_class[units[of_class] == unit]
            split = "test" if taken + len(members) / 2 <= wanted else "train"
            taken += len(members) * (split == "test")
            for i in members:
                record = dataset.examined.records[i]
                place = folder / split / name
                place.mkdir(parents=True, exist_ok=True)
                (place / Path(record.photo.name).name).write_bytes(dataset.read(record.photo))


def _make_cifar(table: Path, folder: Path) -> None:
    import pyarrow.parquet as pq
    from sklearn.cluster import KMeans

    rows = pq.read_table(table)
    labels = np.array(rows.column("label").to_pylist())
    bytes_of = rows.column("image")
    entry = find_entry("efficientnet_lite2.in1k")
    assert entry
    trunk = OnnxTrunk(load_weights(entry, parse_arch(f"efficientnet_lite2:resolution={LITE2_PX}")), entry)
    rng = np.random.default_rng(0)
    for label in np.unique(labels):
        pool = np.flatnonzero(labels == label)[:CIFAR_POOL]
        images = [Image.open(io.BytesIO(bytes_of[int(i)].as_py()["bytes"])).convert("RGB") for i in pool]
        cluster = KMeans(CLUSTERS, n_init=4, random_state=0).fit_predict(_features(trunk, images))
        outside = np.isin(cluster, rng.permutation(CLUSTERS)[:OUTSIDE])
        for split, where, count in (("train", ~outside, CIFAR_TRAIN), ("test", outside, CIFAR_TEST)):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for i in rng.permutation(np.flatnonzero(where))[:count]:
                images[i].save(place / f"{pool[i]}.png")


def _features(trunk: OnnxTrunk, images: list[Image.Image]) -> NDArray[np.float32]:
    side = (LITE2_PX, LITE2_PX)
    pixels = np.stack([np.asarray(image.resize(side, Image.Resampling.BICUBIC)) for image in images])
    return np.concatenate([trunk(pixels[first : first + 64]) for first in range(0, len(pixels), 64)])
