"""How long the parts of a job will take on this machine, from a sample of its photos."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from lungfish.data.features import Trunk
from lungfish.runtime.preprocess import Preprocess
from lungfish.runtime.session import physical_cores
from lungfish.training.recipe import Recipe
from lungfish.workflows.gather import Gathered

SAMPLE_PHOTOS = 16
ARTIFACTS = 2
# Relative to a photo's way through the trunk, and fixed seconds, as measured on clothing-small.
CALIBRATION_FACTOR = 2.0
FIXED_S = 12.0


@dataclass(frozen=True)
class Pace:
    """Seconds for one photo on one core.

    Args:
        decode_s: from the file to pixels.
        trunk_s: through the network as far as its features, on the fast engine.
    """

    decode_s: float = 0.0
    trunk_s: float = 0.0

    def gather_s(self, photos: int) -> float:
        """Looking at photos, and their features."""
        return photos * (self.decode_s + self.trunk_s) / physical_cores()

    def views_s(self, photos: int, views: int, share: float) -> float:
        """Activations of views, the plain one included, after a share of the trunk."""
        return photos * (self.decode_s + views * share * self.trunk_s) / physical_cores()

    def finish_s(self, val: int, test: int, recipe: Recipe) -> float:
        """Export, quantization, proof on validation and test photos, and the bundle."""
        proof_s = (val + test) * (self.decode_s + ARTIFACTS * self.trunk_s) / physical_cores()
        return proof_s + CALIBRATION_FACTOR * self.trunk_s * recipe.calibration_photos + FIXED_S


def measure_pace(gathered: Gathered, preprocess: Preprocess, trunk: Trunk) -> Pace:
    """On a sample spread over all photos."""
    records = gathered.examined.records
    sample = [records[i] for i in np.linspace(0, len(records) - 1, SAMPLE_PHOTOS).astype(int)]
    began = time.perf_counter()
    pixels = np.stack([preprocess.pixels(preprocess.decode(gathered.read(each.photo))) for each in sample])
    decoded = time.perf_counter()
    trunk(pixels)
    ended = time.perf_counter()
    return Pace((decoded - began) / len(sample), (ended - decoded) / len(sample))
