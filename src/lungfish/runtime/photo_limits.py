"""Check the limits on the time and memory that decoding a photo may take, before its pixels are decoded.

The number of pixels alone does not bound the work: a TIFF may have tiles larger than the picture, a progressive JPEG
thousands of scans of all its pixels, and a header millions of empty segments.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

from PIL import Image

from lungfish.core.errors import UnreadablePhotoError

# Pillow's own limit: it warns above half of this, and refuses anything larger.
MAX_PIXELS = 178_956_970
# Largest ratio of the sides of a huge picture. Narrower ones cannot be reduced by an integer factor and would take
# twice the memory. A 360-degree panorama has 10 to 1.
MAX_HUGE_ASPECT = 20
# Progressive JPEGs have 10 scans, or up to 20 from optimizing encoders. libtiff and libvips stop at 100 as well.
MAX_SCANS = 100
# A scan takes about 0.7 ms per million pixels. Allows 16 scans of the largest picture, 100 of 30 million pixels.
MAX_SCANNED_PIXELS = 3_000_000_000
# Memory limit for decoders that need more than 4 bytes per pixel.
MAX_DECODER_BYTES = 1_000_000_000
# Bytes per pixel. Pillow's WebP decoder has four copies of the canvas (measured: 15.9 bytes), AVIF and HEIF three.
DECODER_BYTES = {"WEBP": 16, "AVIF": 12, "HEIF": 12}
# Pillow reads each segment in Python, in 1 to 3 us: up to 0.3 s in all. A PNG of 512 MiB in libpng's chunks of 8 KiB
# has 65,536.
MAX_SEGMENTS = 100_000
# A PNG has one color profile; each takes up to 1 ms to unpack.
MAX_PROFILES = 10
# EXIF of a JPEG has at most 64 KiB, unless it is split into several segments, which Pillow joins one by one.
MAX_EXIF_BYTES = 1 << 20
# A classic TIFF counts its directory entries in 16 bits, a BigTIFF in 64.
MAX_TIFF_TAGS = 65_535
# Stray bytes between two segments, which Pillow skips one by one.
MAX_JUNK_BYTES = 1 << 16

_TILE_WIDTH, _TILE_LENGTH, _ROWS_PER_STRIP = 322, 323, 278
_SOS, _EOI, _EXIF = 0xDA, 0xD9, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEGMENT = struct.Struct(">BBH")
_NO_MARKER = frozenset({0x00, 0xFF})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_MARKER = re.compile(rb"\xff+[^\x00\xff]")
_GIF_BLOCK = re.compile(rb"[!,;]")
_END_OF_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")  # neither an escaped 0xFF nor a restart marker


def check_header(data: bytes) -> None:
    """Check the structure of a photo's file before Pillow reads it.

    Raises:
        UnreadablePhotoError: The file has more segments, profiles, EXIF or tags than allowed.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG"):
        _check_png(data)
    elif data.startswith(b"GIF8"):
        _check_count(_gif_blocks(data))
    elif data[:4] in (b"II+\0", b"MM\0+"):
        _check_bigtiff(data)


def decoded_pixels(image: Image.Image) -> int:
    """Return the number of pixels to decode for an opened image; for a TIFF, those of whole tiles."""
    width, height = image.size
    tags = getattr(image, "tag_v2", None)
    if image.format != "TIFF" or tags is None:
        return width * height
    tile_width, tile_height = _tag(tags, _TILE_WIDTH, 0), _tag(tags, _TILE_LENGTH, 0)
    if not (tile_width or tile_height):
        tile_width, tile_height = width, min(max(_tag(tags, _ROWS_PER_STRIP, height), 1), height)
    return _whole(width, tile_width) * _whole(height, tile_height)


def check_aspect(image: Image.Image) -> None:
    """Check the aspect ratio of a huge picture.

    Raises:
        UnreadablePhotoError: One side is more than `MAX_HUGE_ASPECT` times the other.
    """
    if max(image.size) > MAX_HUGE_ASPECT * min(image.size):
        raise UnreadablePhotoError(
            f"{image.width} x {image.height} pixels: one side is more than {MAX_HUGE_ASPECT} times the other; "
            "cut it into several photos"
        )


def check_decoder(image: Image.Image) -> None:
    """Check the memory that decoding an opened image takes beyond the pixels. Raises `UnreadablePhotoError`."""
    _check_bytes(image.size, DECODER_BYTES.get(image.format or "", 0), image.format or "")


def end_of_scans(data: bytes) -> int:
    """Return where the first picture of a JPEG ends: at its end marker, or else at the end of the data."""
    return next((start for marker, start in _jpeg_markers(data) if marker == _EOI), len(data))


def _jpeg_markers(data: bytes, at: int = 2) -> Iterator[tuple[int, int]]:
    """Yield marker and position of each segment up to the end marker, without the restart markers inside scans."""
    pattern = _MARKER
    while found := pattern.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        yield marker, at - 2
        if marker == _EOI:
            return
        if marker not in _ALONE:
            at += int.from_bytes(data[at : at + 2], "big")
        pattern = _END_OF_SCAN if marker == _SOS else _MARKER


def _check_jpeg(data: bytes) -> None:
    at, frame, exif_bytes = 2, -1, 0
    for _ in range(MAX_SEGMENTS):
        if at + 4 > len(data):
            return
        first, marker, length = _SEGMENT.unpack_from(data, at)
        if first != 0xFF or marker in _NO_MARKER:
            found = _MARKER.search(data, at)
            start = found.end() - 2 if found else len(data)
            _check_junk(start - at)
            at = start
            continue
        if marker == _SOS:
            if frame >= 0:
                _check_scans(data, frame, at)
            return
        if marker in _FRAMES:
            frame = at
        elif marker == _EXIF and data.startswith(b"Exif", at + 4):
            exif_bytes += length
            if exif_bytes > MAX_EXIF_BYTES:
                raise UnreadablePhotoError(f"more than the {MAX_EXIF_BYTES:,} bytes of EXIF allowed")
        at += 2 if marker in _ALONE else 2 + length
    raise _too_many()


def _check_scans(data: bytes, frame: int, scan: int) -> None:
    """Check the scans of a JPEG that may have several, given the offsets of its frame and first scan."""
    components = data[frame + 9]
    if data[frame + 1] not in _PROGRESSIVE and data[scan + 4 : scan + 5] == data[frame + 9 : frame + 10]:
        return  # there is only one scan
    height, width = (int.from_bytes(data[frame + at : frame + at + 2], "big") for at in (5, 7))
    most = max(min(MAX_SCANS, MAX_SCANNED_PIXELS // max(width * height, 1)), 1)
    # a fast upper bound, which also counts the scans of thumbnails and further pictures
    if data.count(b"\xff\xda") > most:
        further = (marker for marker, _ in _jpeg_markers(data, scan) if marker == _SOS)
        if sum(1 for _ in islice(further, most + 1)) > most:
            raise UnreadablePhotoError(f"more than {most} scans of {width} x {height} pixels")
    factors = data[frame + 11 : frame + 10 + 3 * components : 3]  # horizontal and vertical, 4 bits each
    samples = [(each >> 4) * (each & 15) for each in factors]
    # every coefficient takes two bytes
    bytes_ = 4 + 2 * -(-sum(samples) // max(*samples, 1)) if samples else 0
    _check_bytes((width, height), bytes_, "a multi-scan JPEG")


def _check_bytes(size: tuple[int, int], bytes_per_pixel: int, kind: str) -> None:
    needed_bytes = size[0] * size[1] * bytes_per_pixel
    if needed_bytes > MAX_DECODER_BYTES:
        raise UnreadablePhotoError(
            f"{size[0]} x {size[1]} pixels as {kind} take {needed_bytes / 1e9:.1f} GB to decode;"
            f" at most {MAX_DECODER_BYTES / 1e9:.1f} GB are allowed: make it smaller, or save it as a baseline JPEG"
        )


def _check_png(data: bytes) -> None:
    profiles, at = 0, 8
    for _ in range(MAX_SEGMENTS):
        kind = data[at + 4 : at + 8]
        if len(kind) < 4 or kind == b"IEND":
            return
        profiles += kind == b"iCCP"
        if profiles > MAX_PROFILES:
            raise UnreadablePhotoError(f"more than the {MAX_PROFILES} color profiles allowed")
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    raise _too_many()


def _gif_blocks(data: bytes) -> Iterator[int]:
    """Yield the positions of the blocks before the first picture of a GIF."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    while found := _GIF_BLOCK.search(data, at):
        _check_junk(found.start() - at)
        if found[0] != b"!":
            return
        at = found.start() + 2
        while length := int.from_bytes(data[at : at + 1], "big"):
            yield at
            at += 1 + length
        yield at
        at += 1
    _check_junk(len(data) - at)


def _check_junk(bytes_: int) -> None:
    if bytes_ > MAX_JUNK_BYTES:
        raise UnreadablePhotoError(f"{bytes_:,} bytes outside of any segment")


def _check_count(segments: Iterator[int]) -> None:
    if next(islice(segments, MAX_SEGMENTS, None), None) is not None:
        raise _too_many()


def _check_bigtiff(data: bytes) -> None:
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    directory = int.from_bytes(data[8:16], order)
    count = int.from_bytes(data[directory : directory + 8], order)
    if count > MAX_TIFF_TAGS:
        raise UnreadablePhotoError(f"{count:,} tags; at most {MAX_TIFF_TAGS:,} are allowed")


def _too_many() -> UnreadablePhotoError:
    return UnreadablePhotoError(f"more than the {MAX_SEGMENTS:,} segments allowed")


def _tag(tags: Mapping[int, object], number: int, otherwise: int) -> int:
    value = tags.get(number, otherwise)
    value = value[0] if isinstance(value, tuple) and value else value
    return value if isinstance(value, int) else otherwise


def _whole(side: int, tile: int) -> int:
    """Return the length of a side rounded up to whole tiles."""
    return -(-side // max(tile, 1)) * max(tile, 1)
