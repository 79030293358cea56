"""Load photos for training, in threads or worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lungfish.core.errors import UnreadablePhotoError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import printable
from lungfish.data.loading.photo_views import View
from lungfish.data.loading.worker_processes import WorkerProcesses
from lungfish.data.photos import Photo
from lungfish.runtime.prefetch import prefetch

if TYPE_CHECKING:
    from torch import Tensor

AHEAD = 2  # batches to load while one is used
Read = Callable[[Photo], bytes]


@dataclass(frozen=True, slots=True)
class HashedPhoto:
    """A photo, and the SHA-256 that its bytes must have, in hexadecimal."""

    photo: Photo
    sha256: str


@dataclass(frozen=True)
class Batch:
    """Photos to load together.

    Args:
        view: View of each photo.
        samples: Photos; may be empty.
    """

    view: View
    samples: Sequence[HashedPhoto]


class PhotoLoader:
    """Loads batches ahead of their use. Close it, or use it as a context manager.

    The result does not depend on the number of workers. Without workers, threads of this process decode: nothing has to
    start, and a network that trains on the CPU is far slower than they are. An accelerator needs about one worker per
    core.

    Args:
        read: Function that returns a photo's bytes; thread-safe, and picklable if there are workers.
        workers: Number of processes, of about 400 MB each; 0 for none.
    """

    def __init__(self, read: Read, workers: int = 0) -> None:
        self._read = read
        self._processes = WorkerProcesses(workers, _prepare, read) if workers else None

    def load(self, batches: Iterable[Batch]) -> Iterator[Tensor]:
        """Yield a tensor for each batch, uint8 `[k, 3, side, side]`, contiguous.

        Close the iterator if it is left early.

        Raises:
            UnreadablePhotoError: A photo vanished, changed or broke after it was hashed; the message names it.
            WorkerError: A worker died.
        """
        if self._processes is None:
            with closing(prefetch(self._begun, batches, AHEAD, AHEAD)) as begun:
                for batch, parts in begun:
                    yield _finished(batch, parts)  # in this thread: torch's random state is shared
        else:
            with closing(prefetch(self._divided, batches, AHEAD, AHEAD)) as loaded:
                yield from loaded

    def close(self) -> None:
        """Stop the workers."""
        if self._processes is not None:
            self._processes.close()

    def __enter__(self) -> PhotoLoader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begun(self, batch: Batch) -> tuple[Batch, list[Image.Image]]:
        return batch, _parts(batch, self._read)

    def _divided(self, batch: Batch) -> Tensor:
        """Load a batch with all workers, each an equal share."""
        import torch

        processes, count = self._processes, len(batch.samples)
        assert processes is not None
        shares = min(processes.count, count) or 1
        bounds = [count * i // shares for i in range(shares + 1)]
        begun = [
            processes.submit(_load, Batch(batch.view, batch.samples[start:end])) for start, end in pairwise(bounds)
        ]
        return torch.from_numpy(np.concatenate([processes.result(share).numpy() for share in begun]))


_read_here: Read  # set in worker processes


def _prepare(read: Read) -> None:
    global _read_here  # noqa: PLW0603
    _read_here = read


def _load(batch: Batch) -> Tensor:
    return _finished(batch, _parts(batch, _read_here))


def _parts(batch: Batch, read: Read) -> list[Image.Image]:
    return [_part(batch.view, sample, read) for sample in batch.samples]


def _part(view: View, sample: HashedPhoto, read: Read) -> Image.Image:
    try:
        return view.part(_bytes(sample, read), sample.sha256)
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(
            f"{printable(sample.photo.name)}: {error.message}",
            "Put it back and run the same command again to resume. Without it, the job starts over.",
        ) from None


def _bytes(sample: HashedPhoto, read: Read) -> bytes:
    data = read(sample.photo)
    if sha256_bytes(data) != sample.sha256:
        raise UnreadablePhotoError("it has changed since it was first read")
    return data


def _finished(batch: Batch, parts: Sequence[Image.Image]) -> Tensor:
    import torch

    side = batch.view.side_px
    x_nchw = np.empty((len(parts), 3, side, side), np.uint8)
    for i, (part, sample) in enumerate(zip(parts, batch.samples, strict=True)):
        x_nchw[i] = np.asarray(batch.view.finish(part, sample.sha256)).transpose(2, 0, 1)
    return torch.from_numpy(x_nchw)
