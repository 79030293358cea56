"""Resize and crop a photo for the network; artifacts normalize it inside their graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.untrusted import Fields
from lungfish.runtime.decode import decode

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LEAST_STD, LARGEST_CHANNEL = 1e-6, 1e6

Channels = tuple[float, float, float]  # red, green, blue


@dataclass(frozen=True)
class Preprocessing:
    """The rule that turns a photo into the input of a network.

    Resize the shorter side to `resolution_px / crop_fraction`, crop the central square, then normalize with
    `(pixel - mean) / std`.

    Args:
        resolution_px: Side of the resulting square, in pixels.
        crop_fraction: Share of the resized shorter side that the square keeps, in [0.1, 1].
        interpolation: `bilinear` or `bicubic`, antialiased.
        mean: Mean of each channel, for pixels from 0 to 255.
        std: Standard deviation of each channel. A bundle has mean 0 and std 1, since its artifacts normalize inside
            their graph.
        color: Order of the channels; `RGB` is the only one.

    Raises:
        BundleError: A value is out of range.
    """

    resolution_px: int
    crop_fraction: float = 0.875
    interpolation: str = "bicubic"
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    color: str = "RGB"

    def __post_init__(self) -> None:
        given = Fields(self.to_json() | {"mean": list(self.mean), "std": list(self.std)}, "preprocess")
        _resize_rule(given)
        read_channels(given, "mean")
        read_channels(given, "std", LEAST_STD)

    @classmethod
    def read(cls, fields: Fields) -> Preprocessing:
        """Read untrusted JSON in the form that `to_json` writes. Raises `BundleError`."""
        return cls(**_resize_rule(fields))

    @property
    def resize_px(self) -> int:
        """Length of the shorter side after the resize and before the crop."""
        return round(self.resolution_px / self.crop_fraction)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the resulting pixels: height, width, channels."""
        return self.resolution_px, self.resolution_px, 3

    @property
    def draft_px(self) -> int:
        """Least shorter side of a JPEG decoded at reduced scale: twice `resize_px`, so that the resize averages."""
        return 2 * self.resize_px

    def decode(self, data: bytes) -> Image.Image:
        """Decode a photo, at reduced scale if this rule allows. Raises `UnreadablePhotoError`."""
        return decode(data, self.draft_px)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop an RGB image to uint8 `[resolution, resolution, 3]`."""
        # Crop the central square within the resize: the same pixels as resize-then-crop, with less work.
        shorter = min(image.size)
        side = min(self.resolution_px * shorter / self.resize_px, shorter)  # rounding must not exceed the image
        left, top = (image.width - side) / 2, (image.height - side) / 2
        size = (self.resolution_px, self.resolution_px)
        square = image.resize(size, INTERPOLATIONS[self.interpolation], box=(left, top, left + side, top + side))
        return np.asarray(square)

    def to_json(self) -> dict[str, Any]:
        """Return the rule that bundles and artifacts store, from a photo to the uint8 input of an artifact."""
        return {
            "resolution_px": self.resolution_px,
            "crop_fraction": self.crop_fraction,
            "interpolation": self.interpolation,
            "color": self.color,
        }


def read_channels(fields: Fields, key: str, low: float = -LARGEST_CHANNEL) -> Channels:
    """Read a list of three numbers. Raises `BundleError`."""
    values = fields.indexed(key, 3)
    red, green, blue = (values.number(index, low, LARGEST_CHANNEL) for index in "012")
    return red, green, blue


def _resize_rule(fields: Fields) -> dict[str, Any]:
    return {
        "resolution_px": fields.integer("resolution_px", 8, 4096),
        "crop_fraction": fields.number("crop_fraction", 0.1, 1),
        "interpolation": fields.one_of("interpolation", tuple(INTERPOLATIONS)),
        "color": fields.one_of("color", ("RGB",)),
    }
