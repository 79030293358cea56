"""Zip archives that somebody made to do harm, for `unpack`."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lungfish.core import zip_directory
from lungfish.core.archive import unpack
from lungfish.core.errors import WeightsError

UTF8 = 0x800


def archive(*names: str) -> bytes:
    """An archive of members that each hold an x; Python's own writer would alter some names."""
    body, rows = b"", b""
    for name in (name.encode() for name in names):
        fields = (UTF8, 0, 0, 0x21, zlib.crc32(b"x"), 1, 1, len(name))
        place = len(body)
        body += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, *fields, 0) + name + b"x"
        rows += struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, *fields, 0, 0, 0, 0, 0, place) + name
    return body + rows + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, len(names), len(names), len(rows), len(body), 0)


def a_name_that_is_a_zero_byte() -> bytes:
    return archive("\0")


def no_name() -> bytes:
    return archive("")


def device_with_a_space() -> bytes:
    return archive("good", "aux .txt")


def device_with_spaces_and_endings() -> bytes:
    return archive("NuL   .tar.gz")


def device_with_a_superscript() -> bytes:
    return archive("COM¹.txt")


def console() -> bytes:
    return archive("folder/CONIN$")


def a_member_before_the_file() -> bytes:
    """The directory claims an offset 100 bytes too large, which moves every member 100 bytes toward the front."""
    data = bytearray(archive("a"))
    (place,) = struct.unpack_from("<I", data, len(data) - 6)
    struct.pack_into("<I", data, len(data) - 6, place + 100)
    return bytes(data)


ATTACKS: dict[Callable[[], bytes], str] = {
    a_name_that_is_a_zero_byte: r"contains '\\\\x00', which is not a portable path",
    no_name: "contains '', which is not a portable path",
    device_with_a_space: "contains 'aux .txt', which is not a portable path inside the archive",
    device_with_spaces_and_endings: r"contains 'NuL   \.tar\.gz', which is not a portable path",
    device_with_a_superscript: r"contains 'COM¹\.txt', which is not a portable path",
    a_member_before_the_file: "a member has a negative offset",
    console: r"contains 'folder/CONIN\$', which is not a portable path",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attacks(attack: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(attack())
    with pytest.raises(WeightsError, match=ATTACKS[attack]):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_names_that_only_look_like_devices(tmp_path: Path) -> None:
    names = ["auxiliary.txt", "console", "com10", "nul_.txt", "a aux.txt", "COMMA"]
    (tmp_path / "a.zip").write_bytes(archive(*names))
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names)


def test_a_directory_of_an_absurd_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry of 46 bytes takes 600 in memory, before the members are counted."""
    monkeypatch.setattr(zip_directory, "MAX_DIRECTORY_BYTES", 2000)
    (tmp_path / "a.zip").write_bytes(archive(*map(str, range(50))))
    with pytest.raises(WeightsError, match="its directory is larger than 2,000 bytes"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
