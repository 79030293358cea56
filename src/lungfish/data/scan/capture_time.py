"""When a photo was taken, as its EXIF says."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from PIL import ExifTags, Image

HEAD_BYTES = 1 << 16  # JPEG and HEIC name EXIF near the beginning; other files are not searched
FORMAT = "%Y:%m:%d %H:%M:%S"


def capture_time(data: bytes) -> int | None:
    """Return the seconds of EXIF's DateTimeOriginal, or None if a photo has none that can be read.

    The camera's clock counts, without a time zone: only differences between photos of one camera mean something.

    Args:
        data: The file's bytes. They may come from anyone.
    """
    if b"Exif" not in data[:HEAD_BYTES]:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            written = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        return seconds(str(written).strip("\0 "), FORMAT)
    except Exception:  # noqa: BLE001  whatever Pillow raises on broken EXIF: the photo itself was decoded
        return None


def seconds(text: str, form: str) -> int | None:
    """Return a written time as whole seconds, or None if it is none."""
    try:
        return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return None
