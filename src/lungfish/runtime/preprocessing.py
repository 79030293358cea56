"""Resize and crop a photo for the network; artifacts normalize it inside their graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.errors import UsageError
from lungfish.core.untrusted import Fields
from lungfish.runtime.decode import JPEG_SCALES, decode, from_array, from_image, read_photo

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
BICUBIC_A = -0.5  # the parameter of Pillow's bicubic kernel; other libraries use -0.75
LEAST_STD, LARGEST_CHANNEL = 1e-6, 1e6

Channels = tuple[float, float, float]  # red, green, blue
Picture: TypeAlias = str | Path | bytes | Image.Image | NDArray[np.uint8]


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
        """Minimum shorter side of a JPEG decoded at reduced scale.

        It is twice `resize_px`, so that each resized pixel still averages several decoded ones.
        """
        return 2 * self.resize_px

    def decode(self, data: bytes) -> Image.Image:
        """Decode a photo, at reduced scale if this rule allows. Raises `UnreadablePhotoError`."""
        return decode(data, self.draft_px)

    def open(self, picture: Picture) -> Image.Image:
        """Read any kind of picture as an upright RGB image.

        Args:
            picture: A path, the bytes of a file, a Pillow image, or an RGB array, uint8 `[height, width, 3]`.

        Raises:
            UnreadablePhotoError: The picture cannot be read.
            UsageError: `picture` has another type.
        """
        if isinstance(picture, str | Path):
            picture = read_photo(Path(picture))
        if isinstance(picture, bytes):
            return self.decode(picture)
        if isinstance(picture, Image.Image):
            return from_image(picture)
        if isinstance(picture, np.ndarray):
            return from_array(picture)
        raise UsageError(
            f"cannot read a photo from a value of type {type(picture).__name__}",
            "Pass paths, bytes of files, Pillow images, or RGB arrays, uint8 [height, width, 3].",
        )

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop an RGB image to uint8 `[resolution, resolution, 3]`."""
        # Crop the central square within the resize: the same pixels as resize-then-crop, with less work.
        shorter = min(image.size)
        side = min(self.resolution_px * shorter / self.resize_px, shorter)  # rounding must not make it larger
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

    def describe(self) -> dict[str, Any]:
        """Describe the rule for users who implement it in another language.

        Returns:
            The numbers of the rule; `rule`, its description; and `bit_for_bit`, the further details that matter for
            identical pixels. `read` ignores them.
        """
        side, shorter = self.resolution_px, self.resize_px
        a = BICUBIC_A if self.interpolation == "bicubic" else None
        kernel = self.interpolation if a is None else f"{self.interpolation} (a = {a})"
        return {
            "shorter_side_px": shorter,
            "crop_px": [side, side],
            "antialias": True,
            "bicubic_a": a,
            "levels": [0, 255],
            "jpeg_scales": list(JPEG_SCALES),
            "jpeg_shorter_side_px": self.draft_px,
            "rule": (
                "Decode the photo without its color profile, turn it upright by its EXIF orientation, put it on white"
                f" where it is transparent, and convert it to {self.color}. Scale it in proportion until its shorter"
                f" side has {shorter} px, with an antialiased {kernel} kernel, which widens as the photo shrinks. Crop"
                f" the central {side} x {side} px. Pass the levels, 0 to 255, to the model, which normalizes them."
            ),
            "bit_for_bit": (
                "Decode a JPEG at the first of 1/8, 1/4 and 1/2 of its size that leaves its shorter side"
                f" {self.draft_px} px or more, else at full size. Scale and crop in one step, without rounding sizes or"
                f" offsets: resample the central square, whose side is {side}/{shorter} of the shorter side,"
                f" to {side} x {side} px, in one pass along each axis, rounding to whole levels after each. At the"
                " edges of the square the kernel reads the photo around it. Pillow's resize does this with a box;"
                " which axis comes first depends on its version and on the shape of the photo."
            ),
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
