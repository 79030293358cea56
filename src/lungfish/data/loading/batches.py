"""Batches of photos: fresh views to train on, plain ones to validate on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.data.augment.fresh import FreshAugmentation
from lungfish.data.loading.loader import Batch, HashedPhoto, PhotoLoader
from lungfish.data.loading.photo_views import FreshView, PlainView
from lungfish.data.scan.examination import Record
from lungfish.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

Positions = NDArray[np.int64]


class PhotoBatches:
    """Photos to train on, seen anew in every epoch.

    Args:
        loader: loads them; remains the caller's to close.
        records: the photos.
        preprocess: its interpolation.
        augmentation: how far views may differ from the photos.
        seed: of the run.

    Attributes:
        labels: class index of every photo, int64 `[n]`.
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
        """Each chunk in turn: uint8 `[k, 3, side_px, side_px]`, contiguous.

        A row follows from seed, epoch, photo and side alone. Close the iterator if it is left early.

        Args:
            epoch: its number.
            chunks: positions of photos, int64 `[k]` each; may be empty.
            side_px: of the views.

        Raises:
            UnreadablePhotoError: a photo that vanished, changed or broke since it was hashed; names it.
            WorkerError: a worker died.
        """
        preprocess = replace(self._preprocess, resolution_px=side_px)
        view = FreshView(preprocess, self._augmentation, self._seed, epoch)
        return self._loader.load(Batch(view, [self._samples[i] for i in chunk]) for chunk in chunks)


def plain_batches(
    loader: PhotoLoader, records: Sequence[Record], preprocess: Preprocessing, chunks: Iterable[Positions]
) -> Iterator[Tensor]:
    """Photos as the artifact sees them: uint8 `[k, 3, resolution, resolution]` for each chunk in turn, contiguous.

    Args:
        loader: loads them.
        records: the photos.
        preprocess: the resize rule.
        chunks: positions of photos, int64 `[k]` each; may be empty.

    Raises:
        UnreadablePhotoError: a photo that vanished, changed or broke since it was hashed; names it.
        WorkerError: a worker died.
    """
    samples, view = _samples(records), PlainView(preprocess)
    return loader.load(Batch(view, [samples[i] for i in chunk]) for chunk in chunks)


def _samples(records: Sequence[Record]) -> list[HashedPhoto]:
    return [HashedPhoto(record.photo, record.seen.sha256) for record in records]
