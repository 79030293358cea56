import io
import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import UnreadablePhotoError
from lungfish.runtime.decode import MAX_PIXELS, decode, from_array, from_image, read_photo

WHITE, RED = (255, 255, 255), (255, 0, 0)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int, height: int) -> Image.Image:
    """A picture in which no two corners are alike."""
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=-1)
    return Image.fromarray(levels.astype(np.uint8))


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_the_pixels_back(kind: str) -> None:
    image = gradient(40, 30)
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(np.asarray(decode(encoded(image, kind, **options))), np.asarray(image))


def test_jpeg_and_gif_are_close() -> None:
    image = gradient(64, 48)
    for kind, most in (("JPEG", 4), ("GIF", 30)):
        decoded = np.asarray(decode(encoded(image, kind)), int)
        assert np.abs(decoded - np.asarray(image, int)).mean() < most, kind


def test_avif_if_this_pillow_reads_it() -> None:
    Image.init()
    if "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow has no AVIF")
    assert decode(encoded(gradient(64, 48), "AVIF")).size == (64, 48)


def test_cmyk_is_converted() -> None:
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = pixel(decode(data), 8, 8)
    assert red > 240
    assert green < 20
    assert blue < 20


def test_palette_with_a_transparent_color_goes_over_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putpixel((3, 3), 1)
    decoded = decode(encoded(image, "PNG", transparency=0))
    assert pixel(decoded) == WHITE
    assert pixel(decoded, 3, 3) == RED


def test_alpha_goes_over_white() -> None:
    assert pixel(decode(encoded(Image.new("LA", (4, 4), (0, 0)), "PNG"))) == WHITE
    assert pixel(decode(encoded(Image.new("LA", (4, 4), (0, 255)), "PNG"))) == (0, 0, 0)
    half = pixel(decode(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG")))
    assert half == (255, 127, 127)


def test_16_bit_gray_keeps_its_high_byte() -> None:
    levels = np.array([[0, 0x7F12, 0xFFFF]], np.uint16)
    decoded = np.asarray(decode(encoded(Image.fromarray(levels), "PNG")))
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 0x7F, 0xFF])


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_32_bits_are_refused(kind: type) -> None:
    """Nobody knows which value is white."""
    levels = np.linspace(0, 255, 64).reshape(8, 8).astype(kind)
    with pytest.raises(UnreadablePhotoError, match="save the picture with 8 or 16 bits"):
        decode(encoded(Image.fromarray(levels), "TIFF"))


def test_broken_exif_loses_no_photo() -> None:
    image = gradient(48, 32)
    for kind in ("PNG", "WEBP", "JPEG"):
        assert decode(encoded(image, kind, exif=b"Exif\0\0garbage")).size == (48, 32)
    rows = [(0x0100, 2, 2, b"x"), (0x0112, 3, 1, b"\6"), (0x011A, 2, 2, b"x")]  # turned; width, resolution: texts
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 3) + b"".join(struct.pack("<HHI4s", *row) for row in rows)
    assert decode(encoded(image, "JPEG", exif=exif + bytes(4))).size == (32, 48)


def test_a_film_is_named() -> None:
    with pytest.raises(UnreadablePhotoError, match="a video"):
        decode(b"\0\0\0\x20ftypisom\0\0\2\0" + b"\0" * 100)


def test_pictures_of_two_views_are_scaled_as_jpegs_are() -> None:
    """MPO, as stereo cameras and phones write it: JPEGs one after the other."""
    image = gradient(640, 480)
    data = encoded(image, "MPO", save_all=True, append_images=[image])
    assert decode(data, 100).size == decode(encoded(image, "JPEG"), 100).size == (160, 120)


def test_one_bit_and_8_bit_gray() -> None:
    assert pixel(decode(encoded(Image.new("1", (4, 4), 1), "PNG"))) == WHITE
    assert pixel(decode(encoded(Image.new("L", (4, 4), 77), "PNG"))) == (77, 77, 77)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = gradient(48, 32)
    # how a camera stores a picture that must be turned by `orientation` to stand upright
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation in turns else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encoded(stored, "JPEG", exif=exif, quality=95))
    assert decoded.size == upright.size
    assert np.abs(np.asarray(decoded, int) - np.asarray(upright, int)).mean() < 4


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_first_frame_of_many(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert pixel(decode(data), 8, 8) == RED


def png_header(width: int, height: int) -> bytes:
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (ihdr, idat, b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [60_000, 14_000])  # above twice Pillow's own limit, and between the two
def test_too_many_pixels_are_refused_from_the_header(side: int) -> None:
    with pytest.raises(UnreadablePhotoError, match=f"{MAX_PIXELS:,} pixels"):
        decode(png_header(side, side))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"this is text", "not a picture"),
        (b"\0\0\0\x20ftypheic\0\0\0\0" + b"\0" * 100, r"needs pillow-heif|broken|not a picture"),
        (encoded(gradient(64, 64), "JPEG")[:700], "broken or truncated"),
        (encoded(gradient(64, 64), "PNG")[:100], "broken or truncated"),
        (encoded(gradient(64, 64), "WEBP")[:100], "broken or truncated|not a picture"),
        (png_header(10, 10), "broken or truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),  # would start Ghostscript
    ],
)
def test_unreadable(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadablePhotoError, match=reason):
        decode(data)


def test_hostile_bytes_raise_only_our_error() -> None:
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        whole = bytearray(encoded(gradient(40, 30), kind))
        for _ in range(60):
            broken = bytearray(whole)
            for position in random.integers(0, len(whole), 5):
                broken[position] = int(random.integers(256))
            try:
                assert decode(bytes(broken)).mode == "RGB"
            except UnreadablePhotoError as error:
                assert error.message  # noqa: PT017  either outcome is right


def test_scaled_jpeg_decode_is_close_to_the_full_one() -> None:
    data = encoded(gradient(1600, 1200), "JPEG", quality=95)
    full, scaled = decode(data), decode(data, draft_px=256)
    assert full.size == (1600, 1200)
    assert scaled.size == (400, 300)
    difference = np.asarray(full.resize((200, 150)), int) - np.asarray(scaled.resize((200, 150)), int)
    assert np.abs(difference).max() <= 4


def test_scaled_decode_never_goes_below_what_is_asked() -> None:
    data = encoded(gradient(700, 511), "JPEG")
    assert decode(data, draft_px=256).size == (700, 511)
    assert min(decode(data, draft_px=255).size) >= 255


def test_a_pillow_image_is_treated_as_a_file_is() -> None:
    assert pixel(from_image(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))) == WHITE
    with pytest.raises(UnreadablePhotoError, match="broken or truncated"):
        from_image(Image.open(io.BytesIO(encoded(gradient(64, 64), "JPEG")[:700])))


def test_arrays() -> None:
    array = np.zeros((3, 5, 3), np.uint8)
    assert from_array(array).size == (5, 3)
    for wrong in (np.zeros((3, 5)), np.zeros((3, 5, 4), np.uint8), np.zeros((3, 5, 3), np.float32)):
        with pytest.raises(UnreadablePhotoError, match="expected uint8"):
            from_array(wrong)  # type: ignore[arg-type]


def test_reading_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"abc")
    assert read_photo(tmp_path / "a.jpg") == b"abc"
    with pytest.raises(UnreadablePhotoError, match="no such file"):
        read_photo(tmp_path / "b.jpg")
    with pytest.raises(UnreadablePhotoError, match="a folder"):
        read_photo(tmp_path)
    with pytest.raises(UnreadablePhotoError, match=r"no such file|invalid file name"):
        read_photo(tmp_path / "a\0b.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadablePhotoError, match="not a regular file"):
        read_photo(tmp_path / "pipe.jpg")


def kinds() -> dict[str, bytes]:
    """One picture of 90 x 61 in every kind that is converted."""
    image = gradient(90, 61)
    clear = image.copy()
    clear.putalpha(image.getchannel("G"))
    levels = np.asarray(image, np.uint16)[..., 0] * 257
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "rgb": encoded(image, "PNG"),
        "alpha": encoded(clear, "PNG"),
        "gray alpha": encoded(clear.convert("LA"), "PNG"),
        "palette": encoded(image.convert("P"), "PNG", transparency=3),
        "16-bit png": encoded(Image.fromarray(levels), "PNG"),
        "16-bit tiff": encoded(Image.fromarray(levels.astype(">u2")), "TIFF"),
        "one bit": encoded(image.convert("1"), "PNG"),
        "cmyk": encoded(image.convert("CMYK"), "TIFF"),
        "turned": encoded(image, "TIFF", exif=turned),
        "turned jpeg": encoded(image, "JPEG", exif=turned),
    }


@pytest.mark.parametrize("kind", kinds())
def test_a_huge_picture_is_the_same_in_strips(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = kinds()[kind]
    whole = decode(data)
    monkeypatch.setattr("lungfish.runtime.decode.HUGE_PIXELS", 1000)
    monkeypatch.setattr("lungfish.runtime.decode.STRIP_PIXELS", 700)
    np.testing.assert_array_equal(np.asarray(decode(data)), np.asarray(whole))
    assert decode(data).mode == "RGB"


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind != "turned jpeg"])
def test_a_huge_picture_is_reduced_to_what_is_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a whole factor, after alpha is over white; a JPEG is scaled by its own decoder first."""
    data = kinds()[kind]
    whole = decode(data)
    monkeypatch.setattr("lungfish.runtime.decode.HUGE_PIXELS", 1000)
    monkeypatch.setattr("lungfish.runtime.decode.STRIP_PIXELS", 700)
    small = decode(data, draft_px=20)
    assert min(small.size) == 21
    if kind != "turned":  # parts of cells are on another edge
        np.testing.assert_array_equal(np.asarray(small), np.asarray(whole.reduce(3)))


def test_one_huge_picture_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lungfish.runtime.decode.HUGE_PIXELS", 1000)
    inside: list[int] = []
    most: list[int] = []
    reduce = Image.Image.reduce

    def slow(image: Image.Image, factor: int) -> Image.Image:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return reduce(image, factor)

    monkeypatch.setattr(Image.Image, "reduce", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [encoded(gradient(90, 61), "PNG")] * 8))
    assert most == [1] * 8
