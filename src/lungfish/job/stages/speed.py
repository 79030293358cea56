"""Estimate the time of the parts of a job on this machine, from a sample of its photos."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.data.scan.features import Trunk
from lungfish.job.dataset import HEAD_PHOTOS, Dataset
from lungfish.job.start import Start
from lungfish.runtime.cores import physical_cores
from lungfish.training.recipe import Recipe
from lungfish.training.trunk import OnnxTrunk
from lungfish.weights.network_weights import NetworkWeights

SAMPLE_PHOTOS = 16
ARTIFACTS = 2
# Measured on clothing-small.
CALIBRATION_FACTOR = 4.0  # time to calibrate on a photo, relative to a prediction by the exported file
LABELS_S = 1e-3  # label review, per photo
FIXED_S = 14.0  # fixed part, per job


@dataclass(frozen=True)
class Speed:
    """Seconds per photo, with all cores in use.

    Args:
        decode_s: From the file to pixels.
        trunk_s: From pixels to features, on the fastest engine.
        answer_s: From pixels to a prediction of the exported file, which runs on the CPU.
    """

    decode_s: float = 0.0
    trunk_s: float = 0.0
    answer_s: float = 0.0

    def scan_s(self, photos: int) -> float:
        """Return the seconds to scan photos and compute their features."""
        return photos * (self.decode_s + self.trunk_s)

    def views_s(self, photos: int, views: int, share: float) -> float:
        """Return the seconds to decode photos and run a share of the trunk on their views, including the plain one."""
        return photos * (self.decode_s + views * share * self.trunk_s)

    def finish_s(self, dataset: Dataset, recipe: Recipe) -> float:
        """Return the seconds for export, quantization, proof, label review and writing the bundle."""
        counts = dataset.counts()
        proof_s = (counts["val"] + counts["test"]) * (self.decode_s + ARTIFACTS * self.answer_s)
        calibration_s = CALIBRATION_FACTOR * self.answer_s * recipe.calibration_photos
        reviewed = min(len(dataset.embedded_indices("train", "val")), HEAD_PHOTOS)
        return proof_s + calibration_s + LABELS_S * reviewed + FIXED_S


def measure_speed(dataset: Dataset, start: Start, network: NetworkWeights, trunk: Trunk) -> Speed:
    """Measure the speed of this machine on a sample spread over all photos."""
    records, cores = dataset.examined.records, physical_cores()
    sample = [records[i] for i in np.linspace(0, len(records) - 1, SAMPLE_PHOTOS).astype(int)]
    began = time.perf_counter()
    pixels = np.stack([start.preprocess.pixels(start.preprocess.decode(dataset.read(each.photo))) for each in sample])
    decode_s = (time.perf_counter() - began) / len(sample) / cores
    if isinstance(trunk, OnnxTrunk):  # one thread for each photo
        trunk_s = answer_s = _seconds(trunk, pixels) / cores
    else:
        trunk_s, answer_s = _seconds(trunk, pixels), _seconds(OnnxTrunk(network, start.entry), pixels) / cores
    return Speed(decode_s, trunk_s, answer_s)


def _seconds(trunk: Trunk, pixels: NDArray[np.uint8]) -> float:
    """Return the seconds per photo for a batch, on a warm engine."""
    trunk(pixels)
    began = time.perf_counter()
    trunk(pixels)
    return (time.perf_counter() - began) / len(pixels)
