"""What happens to a photo before the network: resize and crop here, normalization inside the graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.errors import BundleError
from lungfish.runtime.decode import decode

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LEAST_CROP = 0.1
LEAST_STD, LARGEST_CHANNEL = 1e-6, 1e6

Channels = tuple[float, float, float]  # red, green, blue


@dataclass(frozen=True)
class Preprocessing:
    """Shorter side to `resolution_px / crop_fraction`, then the central square, then `(pixel - mean) / std`.

    Args:
        resolution_px: Side of the square that comes out.
        crop_fraction: Share of the resized shorter side that the square keeps, in [0.1, 1].
        interpolation: `bilinear` or `bicubic`, antialiased.
        mean: Of pixels from 0 to 255, one number for each channel.
        std: As `mean`. An artifact normalizes inside its graph, so a bundle's are 0 and 1: it takes pixels as they are.
        color: Order of the channels; `RGB` is the only one.

    Raises:
        BundleError: A value out of range.
    """

    resolution_px: int
    crop_fraction: float = 0.875
    interpolation: str = "bicubic"
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    color: str = "RGB"

    def __post_init__(self) -> None:
        if not (isinstance(self.resolution_px, int) and 8 <= self.resolution_px <= 4096):
            raise BundleError(f"preprocess.resolution_px is {self.resolution_px!r}; allowed are 8 to 4096")
        if not LEAST_CROP <= self.crop_fraction <= 1:
            raise BundleError(f"preprocess.crop_fraction is {self.crop_fraction!r}; allowed are {LEAST_CROP} to 1")
        if self.interpolation not in INTERPOLATIONS:
            allowed = " and ".join(INTERPOLATIONS)
            raise BundleError(f"preprocess.interpolation is {self.interpolation!r}; allowed are {allowed}")
        if not _are_channels(self.mean, -LARGEST_CHANNEL):
            raise BundleError(f"preprocess.mean is {self.mean!r}; allowed are 3 numbers from -1e6 to 1e6")
        if not _are_channels(self.std, LEAST_STD):
            raise BundleError(f"preprocess.std is {self.std!r}; allowed are 3 numbers from 1e-6 to 1e6")
        if self.color != "RGB":
            raise BundleError(f"preprocess.color is {self.color!r}; only RGB is known")

    @property
    def resize_px(self) -> int:
        """Length of the shorter side after the resize and before the crop."""
        return round(self.resolution_px / self.crop_fraction)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels that come out: height, width, channels."""
        return self.resolution_px, self.resolution_px, 3

    @property
    def draft_px(self) -> int:
        """Shorter side that a scaled JPEG decode must keep: twice what is needed, so that the resize still averages."""
        return 2 * self.resize_px

    def decode(self, data: bytes) -> Image.Image:
        """Decode a photo no larger than this rule needs. Raises `UnreadablePhotoError`."""
        return decode(data, self.draft_px)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop an RGB image to uint8 `[resolution, resolution, 3]`."""
        # The central square is cut out of the source within the resize: same pixels as resize-then-crop, less work.
        shorter = min(image.size)
        side = min(self.resolution_px * shorter / self.resize_px, shorter)  # rounding must not leave the image
        left, top = (image.width - side) / 2, (image.height - side) / 2
        size = (self.resolution_px, self.resolution_px)
        square = image.resize(size, INTERPOLATIONS[self.interpolation], box=(left, top, left + side, top + side))
        return np.asarray(square)

    def to_json(self) -> dict[str, Any]:
        """Return what bundles and artifacts store: how a photo becomes the uint8 pixels that an artifact takes."""
        return {
            "resolution_px": self.resolution_px,
            "crop_fraction": self.crop_fraction,
            "interpolation": self.interpolation,
            "color": self.color,
        }


def _are_channels(values: Channels, low: float) -> bool:
    return len(values) == 3 and all(math.isfinite(each) and low <= each <= LARGEST_CHANNEL for each in values)
