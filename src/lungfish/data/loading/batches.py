"""Make batches of photos: augmented afresh for training, plain for validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.data.augment.fresh import FreshAugmentation
from lungfish.data.loading.loader import Batch, HashedPhoto, PhotoLoader
from lungfish.data.loading.photo_views import FreshView, PlainView
from lungfish.data.scan.examined import Record
from lungfish.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

Positions = NDArray[np.int64]


class PhotoBatches:
    """Training photos, augmented afresh in every epoch.

    Args:
        loader: Loader of the photos; the caller closes it.
        records: Photos to load.
        preprocess: Preprocessing whose interpolation is used.
        augmentation: Limits of the augmentation.
        seed: Seed of the run.

    Attributes:
        labels: Class index of every photo, int64 `[n]`.
    """

    def __init__(
        self,
        loader: PhotoLoader,
        records: Sequence[Record],
        preprocess: Preprocessing,
        augmentation: FreshAugmentation,
        seed: int,
    ) -> None:
        self._loader, self._samples = loader, _samples(records)
        self._preprocess, self._augmentation, self._seed = preprocess, augmentation, seed
        self.labels = np.array([record.photo.label for record in records], np.int64)

    def epoch(self, epoch: int, chunks: Iterable[Positions], side_px: int) -> Iterator[Tensor]:
        """Yield a batch for each chunk, uint8 `[k, 3, side_px, side_px]`, contiguous.

        A row depends only on seed, epoch, photo and resolution. Close the iterator if it is left early.

        Args:
            epoch: Number of the epoch.
            chunks: Positions of photos, int64 `[k]` each; may be empty.
            side_px: Side of the views.

        Raises:
            UnreadablePhotoError: A photo vanished, changed or broke after it was hashed; the message names it.
            WorkerError: A worker died.
        """
        preprocess = replace(self._preprocess, resolution_px=side_px)
        view = FreshView(preprocess, self._augmentation, self._seed, epoch)
        return self._loader.load(Batch(view, [self._samples[i] for i in chunk]) for chunk in chunks)


def plain_batches(
    loader: PhotoLoader, records: Sequence[Record], preprocess: Preprocessing, chunks: Iterable[Positions]
) -> Iterator[Tensor]:
    """Yield a batch for each chunk, preprocessed as for inference: uint8 `[k, 3, resolution, resolution]`, contiguous.

    Args:
        loader: Loader of the photos.
        records: Photos to load.
        preprocess: Preprocessing of the pixels.
        chunks: Positions of photos, int64 `[k]` each; may be empty.

    Raises:
        UnreadablePhotoError: A photo vanished, changed or broke after it was hashed; the message names it.
        WorkerError: A worker died.
    """
    samples, view = _samples(records), PlainView(preprocess)
    return loader.load(Batch(view, [samples[i] for i in chunk]) for chunk in chunks)


def _samples(records: Sequence[Record]) -> list[HashedPhoto]:
    return [HashedPhoto(record.photo, record.seen.sha256) for record in records]
