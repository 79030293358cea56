import io

import numpy as np
from PIL import Image

from lungfish.evaluation.thumbnail import SIDE_PX, thumbnail


def reopen(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_thumbnail_is_small_and_keeps_its_proportions():
    small = reopen(thumbnail(Image.new("RGB", (800, 400), (200, 30, 40))))
    assert (small.format, small.size, small.mode) == ("JPEG", (SIDE_PX, SIDE_PX // 2), "RGB")
    assert np.abs(np.asarray(small, int) - (200, 30, 40)).max() <= 4


def test_thumbnail_carries_no_metadata():
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    source = io.BytesIO()
    Image.new("RGB", (300, 300)).save(source, "JPEG", exif=exif, comment=b"secret", icc_profile=b"profile")
    photo = reopen(source.getvalue())
    assert photo.info["comment"] == b"secret"
    assert set(reopen(thumbnail(photo)).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_thumbnail_of_odd_modes():
    for mode in ("L", "P", "RGBA", "CMYK", "1"):
        assert reopen(thumbnail(Image.new(mode, (10, 20)))).size == (10, 20)
