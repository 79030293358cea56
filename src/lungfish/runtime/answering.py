"""Run models on many photos: each photo is decoded once for all models, in parallel and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import UnreadablePhotoError
from lungfish.core.progress import Advance
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.engines.engine import BATCH_SIZE
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Preprocessing

Model = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # pixels [n, height, width, 3] to probabilities [n, classes]
Reader = Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class AnsweredPhoto:
    """The predictions of the models.

    Args:
        probabilities: float32 `[readable, classes]` by name of the model.
        unreadable: Reason by position, for photos that could not be decoded.
    """

    probabilities: dict[str, NDArray[np.float32]]
    unreadable: dict[int, str]


def answer_photos(
    models: Mapping[str, Model], readers: Sequence[Reader], preprocess: Preprocessing, advance: Advance
) -> AnsweredPhoto:
    """Run every model on every photo.

    Args:
        models: Models by name; each is called from several threads at once and should use one thread itself.
        readers: Functions that return the bytes of one photo each; they may raise `UnreadablePhotoError`.
        preprocess: The resize rule.
        advance: Called after each chunk with its number of photos.
    """

    def run(positions: range) -> AnsweredPhoto:
        pixels, unreadable = [], {}
        for i in positions:
            try:
                pixels.append(preprocess.pixels(preprocess.decode(readers[i]())))
            except UnreadablePhotoError as error:
                unreadable[i] = error.message
        stacked = np.stack(pixels) if pixels else np.empty((0, *preprocess.shape), np.uint8)
        return AnsweredPhoto({name: model(stacked) for name, model in models.items()}, unreadable)

    cores = physical_cores()
    starts = range(0, len(readers), BATCH_SIZE)
    chunks = (range(start, min(start + BATCH_SIZE, len(readers))) for start in starts)
    done: list[AnsweredPhoto] = []
    for chunk in prefetch(run, chunks, cores, 2 * cores):
        done.append(chunk)
        advance(len(next(iter(chunk.probabilities.values()))) + len(chunk.unreadable))
    return AnsweredPhoto(
        {name: np.concatenate([chunk.probabilities[name] for chunk in done]) for name in models},
        {i: reason for chunk in done for i, reason in chunk.unreadable.items()},
    )
