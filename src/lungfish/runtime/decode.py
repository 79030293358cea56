"""Bytes of a photo to upright RGB pixels: the one decoder, used to train, to prove and to predict."""

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
# A picture with more pixels than this is huge: it takes up to 4 bytes a pixel, and one is decoded at a time.
HUGE_PIXELS = 25_000_000
STRIP_PIXELS = 1 << 22
JPEG_SCALES = (8, 4, 2)  # a JPEG decodes faster at one over each
# What brings a picture upright, by the value of EXIF's orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
FILMS = (b"iso", b"mp4", b"qt ", b"M4V", b"3gp", b"avc1", b"dash")
_one_huge = threading.Lock()
# Our own limit above is checked from the header of every photo; Pillow's earlier warning would say the same twice.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# A photo may hold thousands of tags that Pillow warns of, one by one.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def decode(data: bytes, draft_px: int = 0) -> Image.Image:
    """Decode one photo: first frame, EXIF orientation applied, any color mode to RGB, alpha over white.

    Args:
        data: the file's bytes; JPEG, PNG, WebP, BMP, GIF or TIFF (HEIC and AVIF with the `heif` extra).
        draft_px: if positive, a JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as its shorter side stays at
            least this long. Large photos then decode several times faster. A picture of more than `HUGE_PIXELS` is
            also reduced by a whole factor, after decoding.

    Returns:
        An RGB image.

    Raises:
        UnreadablePhotoError: empty, not a picture, truncated, broken, more than `MAX_PIXELS` pixels, beyond another of
            the limits in `photo_limits`, or pixels of 32 bits, which have no known range.
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
    """The bytes of a photo's file.

    Raises:
        UnreadablePhotoError: not there, not a file, not allowed, or more than `MAX_PHOTO_BYTES`.
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
    except ValueError as error:  # a NUL character in the name
        raise UnreadablePhotoError(f"no file can have this name: {error}") from None


def from_image(image: Image.Image) -> Image.Image:
    """Any Pillow image as `decode` would give it. Raises `UnreadablePhotoError`."""
    with _unreadable("not a picture"):
        _check_size(image)
        return _upright_rgb(image)


def from_array(array: NDArray[np.uint8]) -> Image.Image:
    """An RGB image from uint8 `[height, width, 3]`.

    Raises:
        UnreadablePhotoError: another shape or type.
    """
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise UnreadablePhotoError(f"expected uint8 [height, width, 3], got {array.dtype} {list(array.shape)}")
    return Image.fromarray(array)


@contextmanager
def _unreadable(not_a_picture: str) -> Iterator[None]:
    """Turn whatever Pillow raises into `UnreadablePhotoError`."""
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
    """The pixels of an image, upright. EXIF that cannot be read says nothing: the pixels may be sound."""
    if len(image.info.get("exif", b"")) > MAX_EXIF_BYTES:
        return rgb
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  as of pixels, see `_unreadable`
        return rgb
    turn = TURNS.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadablePhotoError(f"{image.width} x {image.height} is more than the {MAX_PIXELS:,} pixels allowed")
    if (pixels := decoded_pixels(image)) > MAX_PIXELS:
        raise UnreadablePhotoError(f"tiles of {pixels:,} pixels together; at most {MAX_PIXELS:,} are allowed")


def _draft(image: Image.Image, draft_px: int) -> None:
    shorter = min(image.size)
    if image.format in ("JPEG", "MPO") and shorter >= 2 * draft_px:
        scale = next(s for s in JPEG_SCALES if shorter >= s * draft_px)
        image.draft(None, (image.width // scale, image.height // scale))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise UnreadablePhotoError("pixels of 32 bits, whose range nobody knows; save it with 8 or 16 bits")
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N"):
        # 16-bit grey scale: keep the high byte; Pillow's own conversion would clip everything above 255 to white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _rgb_in_strips(image: Image.Image, draft_px: int) -> Image.Image:
    """A huge picture to RGB, one strip after the other, so that no second copy of it is held; not turned yet.

    If `draft_px` is positive, it is reduced by the largest whole factor that keeps the shorter side at least as long.
    """
    factor = max(min(image.size) // draft_px, 1) if draft_px else 1
    rows = max(STRIP_PIXELS // image.width // factor, 1) * factor
    rgb = Image.new("RGB", (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, rows):
        strip = _to_rgb(image.crop((0, top, image.width, min(top + rows, image.height))))
        rgb.paste(strip.reduce(factor), (0, top // factor))
    return rgb


def _formats(data: bytes) -> list[str]:
    """Names of the Pillow formats to try: only those we promise, and of the extra ones only those installed."""
    if not _is_iso_media(data):
        return list(FORMATS)
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    Image.init()  # some builds of Pillow read AVIF by themselves
    return [name for name in EXTRA_FORMATS if name in Image.OPEN]


def _not_a_picture(data: bytes) -> str:
    if _is_iso_media(data):
        film = data[8:].startswith(FILMS)
        return "a film" if film else "HEIC or AVIF needs an extra: pip install 'lungfish[heif]'"
    return "not a picture (JPEG, PNG, WebP, BMP, GIF or TIFF)"


def _is_iso_media(data: bytes) -> bool:
    # HEIC and AVIF share a container with films, "ftyp" at byte 4
    return data[4:8] == b"ftyp"
