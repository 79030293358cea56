"""JPEGs whose pixels end too early, although an end marker follows: libjpeg fills what is missing with gray."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from lungfish.core.errors import UnreadablePhotoError
from lungfish.runtime.photo_limits import end_of_scans

# What libjpeg leaves where no coefficients came: the middle of the range; Pillow turns CMYK around.
GRAY = (127, 128)
# Bytes that no decoder takes for gray, first as they are, then after each of the eight restart markers.
_NOISE = np.random.default_rng(0).integers(0, 255, 512, np.uint8).tobytes()
PROBE = _NOISE + b"".join(bytes((0xFF, 0xD0 + number)) + _NOISE for number in range(8))


def check_whole(image: Image.Image, data: bytes) -> None:
    """Check that the pixels of a decoded JPEG are all there.

    Only if its last pixel is of the gray that libjpeg fills up with: then it is decoded again with more bytes before
    the end marker. If its pixels were complete, those are passed over; if not, they are read as pixels.

    Args:
        image: as its decoder gave it, in the colors and the scale that it has.
        data: the file's bytes.

    Raises:
        UnreadablePhotoError: some are missing.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if any(value not in GRAY for value in (last if isinstance(last, tuple) else (last,))):
        return
    end = end_of_scans(data)
    as_it_is, longer = (_small(b"".join((data[:end], probe, b"\xff\xd9"))) for probe in (b"", PROBE))
    if as_it_is != longer:
        raise UnreadablePhotoError("truncated: its pixels end before its last row, although an end marker follows")


def _small(data: bytes) -> bytes:
    """The pixels of a JPEG at 1/8 of its scale."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft(None, (max(image.width // 8, 1), max(image.height // 8, 1)))
        return image.tobytes()
