"""Read from EXIF when a photo was taken."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from PIL import ExifTags, Image

HEAD_BYTES = 1 << 16  # JPEG and HEIC have EXIF near the beginning; the rest is not searched
FORMAT = "%Y:%m:%d %H:%M:%S"


def capture_time(data: bytes) -> int | None:
    """Return EXIF's DateTimeOriginal in seconds, or None if it is missing or malformed.

    It is the camera's clock without a time zone, so only differences between photos of one camera are meaningful.

    Args:
        data: Bytes of the file, untrusted.
    """
    if b"Exif" not in data[:HEAD_BYTES]:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            written = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        return seconds(str(written).strip("\0 "), FORMAT)
    except Exception:  # noqa: BLE001  whatever Pillow raises: broken EXIF must not reject the photo
        return None


def seconds(text: str, form: str) -> int | None:
    """Return a time as whole seconds, or None if the text is not one."""
    try:
        return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
