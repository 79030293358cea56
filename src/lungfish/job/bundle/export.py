"""Export a trained classifier in FP32, compared with torch, and in INT8, quantized from the FP32 file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.data.photos import Photo
from lungfish.data.scan.examined import Record
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.golden import golden_pixels
from lungfish.deploy.proof import check_parity
from lungfish.exporters.artifact import Artifact
from lungfish.job.dataset import Dataset
from lungfish.quantization.int8 import quantize_int8
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.recipe import Recipe

PARITY_PHOTOS = 16


def export_artifacts(stage: Path, classifier: Classifier, dataset: Dataset, recipe: Recipe) -> tuple[Artifact, ...]:
    """Write the artifacts, FP32 first: it is compared with torch before INT8 is quantized from it."""
    fp32 = classifier.write(stage)
    val = _pixels(dataset, dataset.records("val"), PARITY_PHOTOS, classifier.preprocess)
    check_parity(classifier, fp32, np.concatenate([golden_pixels(classifier.preprocess), val]))
    records = dataset.records("train") or dataset.records("val")
    calibration = _pixels(dataset, records, recipe.calibration_photos, classifier.preprocess)
    int8 = fp32.in_precision("int8")
    quantize_int8(fp32.path, int8.path, calibration)
    return fp32, int8


def _pixels(dataset: Dataset, records: Sequence[Record], count: int, preprocess: Preprocessing) -> NDArray[np.uint8]:
    """Return the pixels of the photos with the smallest content hashes: a fixed choice, whatever the file names."""
    chosen = {record.photo.name for record in sorted(records, key=lambda record: record.seen.sha256)[:count]}
    photos = [record.photo for record in records if record.photo.name in chosen]  # read in the source's order

    def read(photo: Photo) -> NDArray[np.uint8]:
        return preprocess.pixels(preprocess.decode(dataset.read(photo)))

    cores = physical_cores()
    return np.stack(list(prefetch(read, photos, cores, 2 * cores)))
