"""Make small pictures for reports."""

from __future__ import annotations

import io

from PIL import Image

SIDE_PX = 160


def thumbnail(image: Image.Image) -> bytes:
    """Return a JPEG of `image`, RGB, at most 160 pixels on a side, without metadata."""
    small = image.convert("RGB")
    small.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    # a new picture from the pixels has no EXIF, profile or comment
    bare = Image.frombytes("RGB", small.size, small.tobytes())
    buffer = io.BytesIO()
    bare.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()
