"""Photos that would take far more time or memory than their pixels explain, and photos that lack their end."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import UnreadablePhotoError
from lungfish.runtime import decode as decoder
from lungfish.runtime.decode import decode
from lungfish.runtime.photo_limits import MAX_EXIF_BYTES, MAX_SCANS, MAX_SEGMENTS, decoded_pixels

SCAN, END = b"\xff\xda", b"\xff\xd9"


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width: int = 96, height: int = 80) -> Image.Image:
    """Noise over a slope: no cell of it is gray."""
    random = np.random.default_rng(0)
    slope = np.linspace(60, 200, height)[:, None, None]
    return Image.fromarray((slope + random.integers(-40, 40, (height, width, 3))).astype(np.uint8))


def with_gray_end(size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A picture whose lower half truly is the gray that libjpeg fills up with."""
    image = photo(*size)
    image.paste((128, 128, 128), (0, size[1] // 2, *size))
    return image


def tiff(width: int, height: int, tags: dict[int, int], data: bytes = b"") -> bytes:
    """A gray TIFF, deflated, whose pixels begin behind its directory."""
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1} | tags
    offset = 8 + 2 + 12 * len(tags) + 4
    tags = {tag: offset if tag in (273, 324) else value for tag, value in sorted(tags.items())}
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + rows + bytes(4) + data


def tiff_with_a_huge_tile(side: int = 46_336) -> bytes:
    """64 x 64 pixels in a tile of 2 GB."""
    data = zlib.compress(bytes(64))
    return tiff(64, 64, {322: side, 323: side, 324: 0, 325: len(data)}, data)


def bigtiff_with_many_tags() -> bytes:
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60) + bytes(40)


def jpeg_with_scans(scans: int, size: tuple[int, int] = (16, 16)) -> bytes:
    """A progressive JPEG that says its last scan again and again, for 30 bytes each."""
    data = encoded(Image.new("RGB", size, "red"), progressive=True)
    start = data.rindex(b"\xff\xc4", 0, data.rindex(SCAN))
    return data[:-2] + data[start:-2] * (scans - data.count(SCAN)) + END


def jpeg_of_several_scans_with_sides(side: int) -> bytes:
    """The header of a picture whose coefficients, with no pixels yet, take 6 bytes for each of them."""
    data = bytearray(encoded(Image.new("RGB", (16, 16)), progressive=True, subsampling=0))
    frame = data.index(b"\xff\xc2")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def jpeg_with_one_component_in_its_first_scan() -> bytes:
    """Not progressive, and yet the decoder keeps all coefficients until the last scan."""
    data = bytearray(jpeg_of_several_scans_with_sides(13_000))
    data[data.index(b"\xff\xc2") + 1] = 0xC0
    scan = data.index(SCAN)
    data[scan : scan + 14] = SCAN + struct.pack(">HBBB", 8, 1, 1, 0) + b"\0\x3f\0" + bytes(4)
    return bytes(data)


def jpeg_with(segments: bytes) -> bytes:
    data = encoded(Image.new("RGB", (16, 16)))
    return data[:2] + segments + data[2:]


def png_with(chunk: bytes, count: int) -> bytes:
    data = encoded(Image.new("RGB", (8, 8)), "PNG")
    one = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return data[:33] + one * count + data[33:]


def png_with_color_profiles(count: int) -> bytes:
    """Each a megabyte of the same byte."""
    return png_with(b"iCCPx\0\0" + zlib.compress(bytes(1_000_000)), count)


def gif_with_comments(count: int) -> bytes:
    data = encoded(Image.new("P", (8, 8)), "GIF")
    start = data.index(b",", 13)
    return data[:start] + b"!\xfe\1x\0" * count + data[start:]


def webp_with_sides(side: int) -> bytes:
    """A lossless WebP whose header claims these sides; its decoder would hold the canvas four times."""
    data = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
    data[21:25] = struct.pack("<I", side - 1 | (side - 1) << 14)
    return bytes(data)


def exif_that_points_at_itself(tags: int) -> bytes:
    """Tags that all claim the same bytes; Pillow warns of each."""
    rows = b"".join(struct.pack("<HHII", 0x9000 + i, 7, 5000, 8) for i in range(tags))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", tags) + rows + bytes(4)
    return jpeg_with(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)


def exif_of(bytes_: int) -> bytes:
    piece = b"\xff\xe1\xff\xffExif\0\0" + bytes(0xFFFF - 8)
    return jpeg_with(piece * -(-bytes_ // 0xFFFF))


ATTACKS = {
    "a huge tile": (tiff_with_a_huge_tile(), "its tiles have 2,147,024,896 pixels in total; at most 178,956,970"),
    "tags of a BigTIFF": (bigtiff_with_many_tags(), "tags; at most 65,535"),
    "scans": (jpeg_with_scans(MAX_SCANS + 1), "more than 100 scans of 16 x 16"),
    "scans of a large picture": (
        jpeg_of_several_scans_with_sides(7_000)[:-2] + (SCAN + b"\0\2") * 60,
        "more than 61 scans",
    ),
    "coefficients": (jpeg_of_several_scans_with_sides(11_000), "a multi-scan JPEG take 1.2 GB"),
    "scans of one component": (jpeg_with_one_component_in_its_first_scan(), "a multi-scan JPEG take 1.7 GB"),
    "segments of a JPEG": (jpeg_with(b"\xff\xfe\0\2" * MAX_SEGMENTS), "more than the 100,000 segments"),
    "bytes between segments": (jpeg_with(bytes(1 << 17)), "131,072 bytes outside of any segment"),
    "EXIF in pieces": (exif_of(MAX_EXIF_BYTES + 1), "bytes of EXIF"),
    "chunks of a PNG": (png_with(b"abCd", MAX_SEGMENTS), "more than the 100,000 segments"),
    "color profiles": (png_with_color_profiles(11), "more than the 10 color profiles"),
    "a large text": (png_with(b"zTXtx\0\0" + zlib.compress(bytes(2 << 20)), 1), "too large for PngImagePlugin"),
    "comments of a GIF": (gif_with_comments(MAX_SEGMENTS), "more than the 100,000 segments"),
    "bytes between blocks": (encoded(Image.new("P", (8, 8)), "GIF")[:13] + bytes(1 << 18), "outside of any segment"),
    "a canvas held four times": (webp_with_sides(8_500), "as WEBP take 1.2 GB"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_refused_before_its_pixels_are_decoded(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, reason = ATTACKS[attack]

    def forbidden(*_: object) -> None:
        raise AssertionError("it is decoded")

    monkeypatch.setattr(decoder, "_load", forbidden)
    with pytest.raises(UnreadablePhotoError, match=reason):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        encoded(photo(), progressive=True),
        encoded(photo(), "TIFF", compression="tiff_deflate"),
        encoded(photo(), "TIFF", tile=(32, 32)),
        encoded(photo(), "GIF", save_all=True, append_images=[photo()] * 3),
        encoded(photo(), "MPO", save_all=True, append_images=[photo()] * 3, progressive=True),
        jpeg_with_scans(MAX_SCANS, (96, 80)),
        jpeg_with(b"\xff\xe0\0\2" + bytes(1 << 12)),  # a few bytes too many are skipped
        png_with_color_profiles(2),
        png_with(b"abCd", 1000),
    ],
)
def test_sound_photos_are_read(data: bytes) -> None:
    assert decode(data).mode == "RGB"


def test_whole_tiles_count() -> None:
    """Those at the right and at the bottom are decoded whole; strips are not."""
    for tags, pixels in (({322: 16, 323: 32}, 64 * 96), ({278: 7}, 50 * 70), ({278: 1 << 31}, 50 * 70), ({}, 50 * 70)):
        kinds = {324: 0, 325: 1} if 322 in tags else {273: 0, 279: 1}
        with Image.open(io.BytesIO(tiff(50, 70, tags | kinds, b"x"))) as image:
            assert decoded_pixels(image) == pixels


def test_a_large_tile_is_decoded_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its picture is small: memory for one huge photo at a time is what there has to be."""
    monkeypatch.setattr(decoder, "HUGE_PIXELS", 1000)
    entered = []

    class Lock:
        def __enter__(self) -> None:
            entered.append(True)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(decoder, "_one_huge", Lock())
    data = zlib.compress(bytes(64 * 64))
    decode(tiff(16, 16, {322: 64, 323: 64, 324: 0, 325: len(data)}, data))
    assert entered


def test_warnings_of_tags_are_not_shown() -> None:
    """Of thousands of tags, one line each. In a process of its own: pytest has filters of its own."""
    program = "import sys; from lungfish.runtime.decode import decode; print(decode(sys.stdin.buffer.read()).size)"
    data = exif_that_points_at_itself(1000)
    ended = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert (ended.stdout.strip(), ended.stderr) == (b"(16, 16)", b"")


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("draft_px", [0, 20])
def test_a_cut_jpeg_with_an_end_marker_is_refused(mode: str, options: dict[str, Any], draft_px: int) -> None:
    data = encoded(photo().convert(mode), **options)
    pixels = data.index(SCAN) + 16
    for part in (0.0, 0.25, 0.5, 0.9):
        cut = data[: pixels + int((len(data) - pixels) * part)]
        with pytest.raises(UnreadablePhotoError, match="truncated: its pixels end before its last row"):
            decode(cut + END, draft_px)


def test_a_cut_progressive_jpeg_is_refused_if_its_first_scan_is_cut() -> None:
    data = encoded(photo(), progressive=True)
    second = data.index(SCAN, data.index(SCAN) + 2)
    with pytest.raises(UnreadablePhotoError, match="truncated"):
        decode(data[: (data.index(SCAN) + second) // 2] + END)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_a_photo_that_truly_ends_in_gray_is_read(mode: str, options: dict[str, Any]) -> None:
    for image in (with_gray_end(), Image.new("RGB", (96, 80), (128, 128, 128))):
        data = encoded(image.convert(mode), **options)
        for draft_px in (0, 20):
            assert decode(data, draft_px).mode == "RGB"
        assert decode(data + b"what some cameras append").mode == "RGB"


def test_only_the_first_picture_of_several_counts() -> None:
    image = with_gray_end()
    assert decode(encoded(image, "MPO", save_all=True, append_images=[photo()])).size == image.size


@pytest.mark.parametrize("size", [(8, 200), (200, 8)])
def test_a_huge_strip(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """No whole factor reduces it, so that turning it would hold it twice; 20 to 1 is read."""
    monkeypatch.setattr(decoder, "HUGE_PIXELS", 1000)
    with pytest.raises(UnreadablePhotoError, match=f"{size[0]} x {size[1]} pixels: one side is more than 20"):
        decode(encoded(photo(*size), "PNG"))
    assert decode(encoded(photo(10, 200), "PNG")).size == (10, 200)
