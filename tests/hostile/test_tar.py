"""Tar shards whose headers would take hours to read, never end, or stand for more than they hold."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.errors import PhotosError
from lungfish.data.sources import assembly, open_photos, tar_headers
from lungfish.data.sources.tar_headers import DamagedTarError, Member, members

BLOCK = tarfile.BLOCKSIZE


def blocks(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def file(name: str, data: bytes) -> bytes:
    return header(name, len(data)) + blocks(data)


def extended(data: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header("pax", len(data), kind) + blocks(data)


def record(key: str, value: str) -> bytes:
    """`LENGTH KEY=VALUE` and a line end; the length counts its own digits."""
    length = len(f" {key}={value}\n".encode())
    digits = len(str(length + len(str(length))))
    return f"{length + digits} {key}={value}\n".encode()


def photos_of(count: int = 4) -> bytes:
    return b"".join(file(f"{i}.jpg", b"x") + file(f"{i}.cls", str(i % 2).encode()) for i in range(count))


def digits_that_are_searched_from_each() -> bytes:
    """Python 3.11's tarfile looks for `hdrcharset` from every digit to the last: 10^12 steps for a megabyte."""
    return extended(b"1" * (1 << 20)) + file("9.jpg", b"x")


def a_map_of_a_sparse_file_without_end() -> bytes:
    """Numbers of 512 digits, as many as the file is long."""
    head = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.realsize", "9")
    data = b"1000000\n" + b"1" * 4096
    return extended(head) + file("9.jpg", data)


def a_name_for_all_members(characters: int) -> bytes:
    """512 bytes a member in the tar, a name of so many characters each in memory."""
    return extended(record("path", "a" * characters + ".jpg"), tarfile.XGLTYPE)


def headers_before_headers(count: int) -> bytes:
    return header("x", 0, tarfile.GNUTYPE_LONGNAME) * count


ATTACKS = {
    "digits": (digits_that_are_searched_from_each(), ""),
    "sparse": (a_map_of_a_sparse_file_without_end(), ""),
    "a name for all": (a_name_for_all_members(1 << 19), ""),
    "headers before headers": (headers_before_headers(3000), "more than 8 headers for one member"),
    "a long name": (extended(record("path", "a" * 5000)) + file("9.jpg", b"x"), "a name of 5,000 characters"),
    "a longer name": (header("x", 5000, tarfile.GNUTYPE_LONGNAME) + bytes(5120), "a header that is too large"),
    "an endless header": (header("x", 1 << 40, tarfile.XHDTYPE), "a header that is too large"),
    "an endless global header": (header("x", 1 << 40, tarfile.XGLTYPE), "a header that is too large"),
    "a size of many digits": (
        extended(record("size", "9" * 5000)) + file("9.jpg", b"x"),
        "a size that is not a number",
    ),
    "a size beyond the end": (extended(record("size", "9" * 15)) + file("9.jpg", b"x"), "ends past the end"),
    "a negative size": (header("9.jpg", -(1 << 40)), "ends past the end|too large|no header"),
    "a record without a key": (extended(b"9 abcdef\n") + file("9.jpg", b"x"), "an invalid extended header"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_comes_before_is_read(tmp_path: Path, attack: str) -> None:
    data, reason = ATTACKS[attack]
    (tmp_path / "x.tar").write_bytes(photos_of() + data + (bytes(1024) if not reason else b""))
    photos = open_photos(tmp_path / "x.tar")
    assert [photos.read(photo) for photo in photos.photos][:4] == [b"x"] * 4
    damage = [each.reason for each in photos.skipped if each.file == "x.tar"]
    assert len(damage) == bool(reason)
    if reason:
        assert any(part in damage[0] for part in reason.split("|"))


def test_global_headers_name_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(a_name_for_all_members(100) + photos_of() + bytes(1024))
    assert [photo.name for photo in open_photos(tmp_path / "x.tar").photos] == [f"x/{i}.jpg" for i in range(4)]


def test_photos_of_all_shards_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_PHOTOS", 10)
    for number in range(3):
        (tmp_path / f"{number}.tar").write_bytes(photos_of(4) + bytes(1024))
    with pytest.raises(PhotosError, match="more than the 10 photos allowed"):
        open_photos(tmp_path)


def of_tarfile(data: bytes) -> list[Member]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [Member(each.name, each.offset_data, each.size) for each in tar if each.isreg() and not each.issparse()]


def some_tar(random_: random.Random, form: int) -> bytes:
    """Members of every kind, with names of every length, some not in ASCII."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for i in range(random_.randrange(20)):
            info = tarfile.TarInfo(
                random_.choice("aä") * random_.randrange(1, 70) + f"/{i}" + "n" * random_.randrange(90)
            )
            if form != tarfile.USTAR_FORMAT:
                info.name *= random_.randrange(1, 4)
            info.type = random_.choice([tarfile.REGTYPE] * 6 + [tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.LNKTYPE])
            info.linkname = "l" * random_.randrange(100) if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.pax_headers = {"comment": "ü" * random_.randrange(9)} if form == tarfile.PAX_FORMAT else {}
            data = random_.randbytes(random_.randrange(2000)) if info.type == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sound_tars_are_read_as_tarfile_reads_them(form: int) -> None:
    random_ = random.Random(form)
    for _ in range(40):
        data = some_tar(random_, form)
        assert list(members(io.BytesIO(data), len(data))) == of_tarfile(data)


def test_an_old_sparse_file_is_passed_over() -> None:
    """As GNU tar wrote them: a map in the header, and blocks that continue it."""
    sparse = bytearray(header("s.bin", 1024, tarfile.GNUTYPE_SPARSE))
    sparse[482] = 1
    sparse[148:156] = b"%06o\0 " % (sum(sparse[:148]) + 256 + sum(sparse[156:]))
    more = bytearray(BLOCK)
    more[504] = 1
    data = bytes(sparse) + bytes(more) + bytes(BLOCK) + b"x" * 1024 + file("1.jpg", b"y") + bytes(1024)
    assert [member.name for member in members(io.BytesIO(data), len(data))] == ["1.jpg"]


def test_damaged_tars_end_in_an_error_or_fewer_members() -> None:
    random_ = random.Random(0)
    for _ in range(300):
        data = bytearray(some_tar(random_, random_.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])))
        for _ in range(3):
            data[random_.randrange(len(data))] = random_.randrange(256)
        found: list[Any] = []
        try:
            found += members(io.BytesIO(data), len(data))
        except DamagedTarError as error:
            assert str(error)  # noqa: PT017  either outcome is right
        assert all(0 <= member.start <= member.start + member.size <= len(data) for member in found)


def test_members_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_headers, "MAX_MEMBERS", 5)
    data = photos_of(4)
    with pytest.raises(DamagedTarError, match="more than 5 members"):
        list(members(io.BytesIO(data), len(data)))
