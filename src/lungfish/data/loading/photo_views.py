"""What a network sees of a photo: the plain view, or one that is fresh in every epoch."""

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
    """From a photo to a square of RGB pixels, in two steps. Pickles."""

    @property
    def side_px(self) -> int:
        """Of the square."""
        ...

    def part(self, data: bytes, sha256: str, /) -> Image.Image:
        """The first step and most of the work, on any thread. Raises `UnreadablePhotoError`."""
        ...

    def finish(self, part: Image.Image, sha256: str, /) -> Image.Image:
        """The second step; may borrow torch's random numbers, so not on two threads of a process at once."""
        ...


@dataclass(frozen=True)
class PlainView:
    """What the artifact sees."""

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
    """One epoch's view. What it shows of a photo follows from these fields and the photo's content.

    Args:
        preprocess: its resolution and interpolation.
        augmentation: how far views may differ from the photos.
        seed: of the run.
        epoch: its number.
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
        rng = view_rng(self.seed, f"fresh {sha256}", self.epoch)  # other parts than those of cached views
        return Image.fromarray(augmented(image, self.preprocess, self.augmentation, rng))

    def finish(self, part: Image.Image, sha256: str, /) -> Image.Image:
        seed = int(sha256_json(["policy", self.seed, sha256, self.epoch])[:16], 16)
        return changed(part, self.augmentation, seed)
