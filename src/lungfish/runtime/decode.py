"""Decode photos to upright RGB pixels, in training, proof and prediction alike."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from lungfish.core.errors import UnreadablePhotoError
from lungfish.core.files import NotRegularError, open_regular
from lungfish.core.names import in_short
from lungfish.runtime.jpeg_end import check_whole
from lungfish.runtime.photo_limits import (
    MAX_EXIF_BYTES,
    MAX_PIXELS,
    check_aspect,
    check_decoder,
    check_header,
    decoded_pixels,
)

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
EXTRA_FORMATS = ("HEIF", "AVIF")
EXTRA_SUFFIXES = frozenset({".heic", ".heif", ".avif"})

MAX_PHOTO_BYTES = 512 * 2**20
# Larger pictures take up to 4 bytes per pixel, and are decoded one at a time.
HUGE_PIXELS = 25_000_000
STRIP_PIXELS = 1 << 22
JPEG_SCALES = (8, 4, 2)  # JPEGs decode faster at 1/8, 1/4 and 1/2 size
# The transposition that turns a picture upright, by EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
VIDEO_BRANDS = (b"iso", b"mp4", b"qt ", b"M4V", b"3gp", b"avc1", b"dash")
_one_huge = threading.Lock()
# MAX_PIXELS is checked from the header of every photo, so Pillow's warning adds nothing.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Pillow warns about each invalid tag, and a photo may have thousands.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def decode(data: bytes, draft_px: int = 0) -> Image.Image:
    """Decode the first frame of a photo, apply its EXIF orientation, and convert it to RGB, with alpha over white.

    Args:
        data: Content of the file: JPEG, PNG, WebP, BMP, GIF or TIFF (HEIC and AVIF with the `heif` extra).
        draft_px: If positive, a JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as its shorter side stays at
            least this long. Large photos then decode several times faster. A picture of more than `HUGE_PIXELS` is
            also reduced by an integer factor after decoding.

    Returns:
        An RGB image.

    Raises:
        UnreadablePhotoError: The data are empty, not a picture, truncated, corrupt, over `MAX_PIXELS` or another limit
            of `photo_limits`, or have 32-bit pixels, whose range is unknown.
    """
    if not data:
        raise UnreadablePhotoError("empty file")
    check_header(data)
    formats = _formats(data)
    with _unreadable(_not_a_picture(data)), Image.open(io.BytesIO(data), formats=formats) as image:
        _check_size(image)
        check_decoder(image)
        return _upright_rgb(image, draft_px, data)


def read_photo(path: Path) -> bytes:
    """Read the file of a photo.

    Raises:
        UnreadablePhotoError: The path is missing, not a file, not readable, or larger than `MAX_PHOTO_BYTES`.
    """
    try:
        if path.is_dir():
            raise UnreadablePhotoError("a folder, not a file")
        if not path.exists():
            raise UnreadablePhotoError("no such file")
        with open_regular(path) as file:
            size = file.seek(0, os.SEEK_END)
            if size > MAX_PHOTO_BYTES:
                raise UnreadablePhotoError(f"{size:,} bytes; at most {MAX_PHOTO_BYTES:,} are allowed")
            file.seek(0)
            return file.read(size)
    except NotRegularError as error:
        raise UnreadablePhotoError(str(error)) from None
    except OSError as error:
        raise UnreadablePhotoError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # a null character in the name
        raise UnreadablePhotoError(f"invalid file name: {error}") from None


def from_image(image: Image.Image) -> Image.Image:
    """Convert a Pillow image as `decode` does. Raises `UnreadablePhotoError`."""
    with _unreadable("not a picture"):
        _check_size(image)
        return _upright_rgb(image)


def from_array(array: NDArray[np.uint8]) -> Image.Image:
    """Convert an array, uint8 `[height, width, 3]`, to an RGB image.

    Raises:
        UnreadablePhotoError: The array has another shape or type.
    """
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise UnreadablePhotoError(f"expected uint8 [height, width, 3], got {array.dtype} {list(array.shape)}")
    return Image.fromarray(array)


@contextmanager
def _unreadable(not_a_picture: str) -> Iterator[None]:
    """Turn all errors of Pillow into `UnreadablePhotoError`."""
    try:
        yield
    except UnreadablePhotoError:
        raise
    except UnidentifiedImageError:
        raise UnreadablePhotoError(not_a_picture) from None
    except Image.DecompressionBombError as error:
        size = str(error).partition(" exceeds")[0]  # "Image size (3600000000 pixels)"
        raise UnreadablePhotoError(f"{size} is more than the {MAX_PIXELS:,} pixels allowed") from None
    # On hostile bytes Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, IndexError and more.
    except Exception as error:  # noqa: BLE001
        raise UnreadablePhotoError(f"broken or truncated: {in_short(error)}") from None


def _upright_rgb(image: Image.Image, draft_px: int = 0, data: bytes = b"") -> Image.Image:
    if draft_px:
        _draft(image, draft_px)
    if decoded_pixels(image) <= HUGE_PIXELS:
        _load(image, data)
        return _turned(_to_rgb(image), image)
    check_aspect(image)
    with _one_huge:
        _load(image, data)
        return _turned(_rgb_in_strips(image, draft_px), image)


def _load(image: Image.Image, data: bytes) -> None:
    image.load()
    if image.format in ("JPEG", "MPO") and data:
        check_whole(image, data)


def _turned(rgb: Image.Image, image: Image.Image) -> Image.Image:
    """Return the pixels upright. Invalid EXIF is ignored, since the pixels may be intact."""
    if len(image.info.get("exif", b"")) > MAX_EXIF_BYTES:
        return rgb
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  Pillow raises errors of all kinds, see `_unreadable`
        return rgb
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadablePhotoError(f"{image.width} x {image.height} is more than the {MAX_PIXELS:,} pixels allowed")
    if (pixels := decoded_pixels(image)) > MAX_PIXELS:
        raise UnreadablePhotoError(f"its tiles have {pixels:,} pixels in total; at most {MAX_PIXELS:,} are allowed")


def _draft(image: Image.Image, draft_px: int) -> None:
    shorter = min(image.size)
    if image.format in ("JPEG", "MPO") and shorter >= 2 * draft_px:
        scale = next(s for s in JPEG_SCALES if shorter >= s * draft_px)
        image.draft(None, (image.width // scale, image.height // scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise UnreadablePhotoError("32-bit pixels have no known range; save the picture with 8 or 16 bits")
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N"):
        # 16-bit grayscale: keep the high byte; Pillow's own conversion clips all values above 255 to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _rgb_in_strips(image: Image.Image, draft_px: int) -> Image.Image:
    """Convert a huge picture to RGB strip by strip, without a second copy in memory and without turning it.

    If `draft_px` is positive, reduce it by the largest integer factor that leaves its shorter side at least that long.
    """
    factor = max(min(image.size) // draft_px, 1) if draft_px else 1
    rows = max(STRIP_PIXELS // image.width // factor, 1) * factor
    rgb = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, rows):
        strip = _to_rgb(image.crop((0, top, image.width, min(top + rows, image.height))))
        rgb.paste(strip.reduce(factor), (0, top // factor))
    return rgb


def _formats(data: bytes) -> list[str]:
    """Return the Pillow formats to try: `FORMATS`, or for ISO media (HEIC, AVIF) the installed `EXTRA_FORMATS`."""
    if not _is_iso_media(data):
        return list(FORMATS)
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    Image.init()  # some builds of Pillow can read AVIF
    return [name for name in EXTRA_FORMATS if name in Image.OPEN]


def _not_a_picture(data: bytes) -> str:
    if _is_iso_media(data):
        is_video = data[8:].startswith(VIDEO_BRANDS)
        return "a video, not a photo" if is_video else "HEIC or AVIF needs pillow-heif: pip install pillow-heif"
    return "not a picture (JPEG, PNG, WebP, BMP, GIF or TIFF)"


def _is_iso_media(data: bytes) -> bool:
    # HEIC and AVIF share a container format with videos, which has "ftyp" at byte 4
    return data[4:8] == b"ftyp"
