"""Detect truncated JPEGs that still have an end marker; libjpeg fills their missing pixels with gray."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from lungfish.core.errors import UnreadablePhotoError
from lungfish.runtime.photo_limits import end_of_scans

# Where coefficients are missing, libjpeg writes 128, the middle of the range; Pillow inverts CMYK, which gives 127.
GRAY = (127, 128)
# Bytes that decode to something other than gray, first alone, then after each of the eight restart markers.
_NOISE = np.random.default_rng(0).integers(0, 255, 512, np.uint8).tobytes()
PROBE = _NOISE + b"".join(bytes((0xFF, 0xD0 + number)) + _NOISE for number in range(8))


def check_whole(image: Image.Image, data: bytes) -> None:
    """Check that no pixels of a decoded JPEG are missing.

    If the last pixel has libjpeg's gray, the file is decoded again with extra bytes before the end marker. A complete
    picture ignores them; in a truncated one they become pixels.

    Args:
        image: The decoded picture, in its original colors and scale.
        data: Content of the file.

    Raises:
        UnreadablePhotoError: Pixels are missing.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if any(value not in GRAY for value in (last if isinstance(last, tuple) else (last,))):
        return
    end = end_of_scans(data)
    as_it_is, longer = (_small(b"".join((data[:end], probe, b"\xff\xd9"))) for probe in (b"", PROBE))
    if as_it_is != longer:
        raise UnreadablePhotoError("truncated: its pixels end before its last row, although it has an end marker")


def _small(data: bytes) -> bytes:
    """Return the pixels of a JPEG, decoded at 1/8 scale."""
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft(None, (max(image.width // 8, 1), max(image.height // 8, 1)))
        return image.tobytes()
