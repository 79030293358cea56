from __future__ import annotations

import io

import pytest
from PIL import Image

from lungfish.data.scan.capture_time import capture_time
from lungfish.data.scan.examination import examine
from lungfish.data.sources import open_photos
from lungfish.runtime.preprocessing import Preprocessing

EXIF_IFD, TIME = 0x8769, 0x9003


def photo(written: object = None, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    if written is not None:
        exif.get_ifd(EXIF_IFD)[TIME] = written
    Image.new("RGB", (16, 16), "teal").save(buffer, form, exif=exif)
    return buffer.getvalue()


def test_two_photos_of_a_minute():
    first, second = (capture_time(photo(f"2024:05:01 10:00:{second:02}")) for second in (7, 19))
    assert first is not None
    assert second is not None
    assert second - first == 12


@pytest.mark.parametrize("written", [None, "", "0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"])
def test_no_time(written):
    assert capture_time(photo(written)) is None


def test_broken_exif_costs_no_photo():
    data = photo("2024:05:01 10:00:07")
    at = data.index(b"Exif") + 6
    for broken in (data[: at + 4], data[:at] + b"\xff" * 40 + data[at + 40 :], b"Exif", b""):
        assert capture_time(broken) is None


def test_the_pass_reads_it_also_from_cached_photos(tmp_path):
    (tmp_path / "cup").mkdir()
    (tmp_path / "cup" / "a.jpg").write_bytes(photo("2024:05:01 10:00:07"))
    (tmp_path / "cup" / "b.png").write_bytes(photo(form="PNG"))
    (tmp_path / "mug").mkdir()
    (tmp_path / "mug" / "c.jpg").write_bytes(photo())
    for decoded in (3, 0):
        examined = examine(open_photos(tmp_path), Preprocessing(32))
        assert examined.decoded == decoded
        taken = [record.taken for record in examined.records]
        assert taken[0] == capture_time(photo("2024:05:01 10:00:07"))
        assert taken[1:] == [None, None]
