"""Break ties between two networks by their loss on fixed variations of validation photos."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.data.augment.changed_views import CHANGES, changed_views
from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages.stage import TrainingContext
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.prefetch import prefetch
from lungfish.training.paired_gain import gain, losses

if TYPE_CHECKING:
    from lungfish.nn import Network

PHOTOS = 128  # at most, as each is predicted under every change
BATCH = 16  # views at once; an eager pass keeps all activations in memory


class ChangedPhotos:
    """Changed views of a sample of the validation photos, created on first use."""

    def __init__(self, context: TrainingContext) -> None:
        self._context = context
        indices = context.dataset.indices("val")
        spread = np.linspace(0, len(indices) - 1, min(PHOTOS, len(indices))).astype(np.int64)
        self._indices = indices[spread]

    def losses(self, network: Network) -> NDArray[np.float64]:
        """Return the mean loss of each photo over its changed views, float64 `[n]`; the network ends on the CPU."""
        import torch

        from lungfish.training.layers import from_pixels

        labels = self._context.dataset.truth[self._indices].repeat(len(CHANGES))
        layers = from_pixels(network, self._context.preprocess).to(self._context.group.device).eval()
        with torch.inference_mode():
            parts = [
                layers(torch.from_numpy(self._pixels[first : first + BATCH]).to(self._context.group.device)).cpu()
                for first in range(0, len(self._pixels), BATCH)
            ]
        network.cpu()
        each = losses(torch.cat(parts).numpy(), labels).reshape(len(self._indices), len(CHANGES))
        mean: NDArray[np.float64] = each.mean(axis=1)
        return mean

    def gain(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
        """Compare two networks by their `losses`."""
        return gain(before, after, self._context.dataset.assignment.units[self._indices])

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        """Changed views, uint8 `[photos * changes, 3, side, side]`."""
        dataset, preprocess = self._context.dataset, self._context.preprocess
        photos = [dataset.examined.records[i].photo for i in self._indices]

        def views(position: int) -> NDArray[np.uint8]:
            return changed_views(preprocess.pixels(preprocess.decode(dataset.read(photos[position]))))

        cores = physical_cores()
        created = np.concatenate(list(prefetch(views, range(len(photos)), cores, 2 * cores)))
        return np.ascontiguousarray(created.transpose(0, 3, 1, 2))
