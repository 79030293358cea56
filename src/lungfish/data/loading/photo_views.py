"""Views of a photo for a network: plain, or augmented afresh in every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from lungfish.core.hashing import sha256_json
from lungfish.data.augment.augmentation import augmented, view_rng
from lungfish.data.augment.fresh import FreshAugmentation, changed
from lungfish.runtime.decode import decode
from lungfish.runtime.preprocessing import Preprocessing


class View(Protocol):
    """Makes a square of RGB pixels from a photo, in two calls: `part`, then `finish`. Picklable."""

    @property
    def side_px(self) -> int:
        """Side of the square."""
        ...

    def part(self, data: bytes, sha256: str, /) -> Image.Image:
        """Do most of the work, in any thread. Raises `UnreadablePhotoError`."""
        ...

    def finish(self, part: Image.Image, sha256: str, /) -> Image.Image:
        """Finish the view. May use torch's random state: call it from one thread of a process at a time."""
        ...


@dataclass(frozen=True)
class PlainView:
    """A photo preprocessed as for inference."""

    preprocess: Preprocessing

    @property
    def side_px(self) -> int:
        return self.preprocess.resolution_px

    def part(self, data: bytes, _sha256: str, /) -> Image.Image:
        return Image.fromarray(self.preprocess.pixels(self.preprocess.decode(data)))

    def finish(self, part: Image.Image, _sha256: str, /) -> Image.Image:
        return part


@dataclass(frozen=True)
class FreshView:
    """The view of one epoch. It depends only on these fields and the photo's content.

    Args:
        preprocess: Preprocessing whose resolution and interpolation are used.
        augmentation: Limits of the augmentation.
        seed: Seed of the run.
        epoch: Number of the epoch.
    """

    preprocess: Preprocessing
    augmentation: FreshAugmentation
    seed: int
    epoch: int

    @property
    def side_px(self) -> int:
        return self.preprocess.resolution_px

    def part(self, data: bytes, sha256: str, /) -> Image.Image:
        image = decode(data, self.augmentation.draft_px(self.preprocess))
        rng = view_rng(self.seed, f"fresh {sha256}", self.epoch)  # different crops than those of cached views
        return Image.fromarray(augmented(image, self.preprocess, self.augmentation, rng))

    def finish(self, part: Image.Image, sha256: str, /) -> Image.Image:
        seed = int(sha256_json(["policy", self.seed, sha256, self.epoch])[:16], 16)
        return changed(part, self.augmentation, seed)
