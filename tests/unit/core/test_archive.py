"""Archives: good ones are unpacked, hostile ones leave nothing."""

from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from lungfish.core.archive import Limits, unpack
from lungfish.core.errors import WeightsError

FILES = {"model/a.index": b"index", "model/deep/a.data": random.Random(0).randbytes(2_300_000), "README": b""}
KINDS = {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "device": tarfile.CHRTYPE, "fifo": tarfile.FIFOTYPE}
BAD_NAMES = (
    *("../out", "a/../../out", "/tmp/out", "..", "C:out", "C:\\out", "..\\out", "a:stream", "NUL", "con.txt", "a\x01b"),
    *("a.", "b /c"),
)


def write_tar(path: Path, members: Iterable[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_zip(path: Path, members: Iterable[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for info, data in members:
            packed.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def refused(archive: Path, says: str, limits: Limits | None = None) -> None:
    """Unpacking fails, says so, and leaves nothing beside the archive."""
    before = sorted(archive.parent.parent.rglob("*"))
    with pytest.raises(WeightsError, match=says) as caught:
        unpack(archive, archive.parent / "out", limits)
    assert archive.name in caught.value.message
    assert sorted(archive.parent.parent.rglob("*")) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("kind", ["w:gz", "w", "zip"])
def test_good_archives(folder: Path, kind: str) -> None:
    if kind == "zip":
        members = [(zipfile.ZipInfo(name), data) for name, data in FILES.items()]
        archive = write_zip(folder / "a", [(zipfile.ZipInfo("model/"), b""), *members])
    else:
        archive = folder / "a"
        with tarfile.open(archive, kind) as tar:  # type: ignore[call-overload]
            for name, data in FILES.items():
                (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / "in" / name).write_bytes(data)
            tar.add(folder / "in", ".")
    unpack(archive, folder / "out")
    found = {path.relative_to(folder / "out").as_posix(): path for path in (folder / "out").rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == FILES
    assert not any(path.stat().st_mode & 0o111 for path in found.values() if path.is_file())


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(folder: Path, name: str) -> None:
    good = (tarfile.TarInfo("first"), b"x")
    refused(write_tar(folder / "a.tgz", [good, (tarfile.TarInfo(name), b"evil")]), "a.tgz")
    bad = zipfile.ZipInfo("placeholder")
    bad.filename = bad.orig_filename = name
    refused(write_zip(folder / "a.zip", [(zipfile.ZipInfo("first"), b"x"), (bad, b"evil")]), "a.zip")


def test_a_name_with_a_zero_byte(folder: Path) -> None:
    archive = write_zip(folder / "a.zip", [(zipfile.ZipInfo("placeholderX"), b"evil")])
    archive.write_bytes(archive.read_bytes().replace(b"placeholderX", b"placeholder\0"))
    refused(archive, "placeholder.*x00")
    info = tarfile.TarInfo("x")
    info.pax_headers = {"path": "a\0b"}
    refused(write_tar(folder / "a.tar", [(info, b"")], "w:"), "a.*x00b")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["../../../etc/passwd", "/etc/passwd", "first"])
def test_links_and_devices(folder: Path, kind: str, place: str) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.linkname = KINDS[kind], place
    through = tarfile.TarInfo("x/y")
    members = [(tarfile.TarInfo("first"), b"x"), (info, b""), (through, b"evil")]
    refused(write_tar(folder / "a.tgz", members), "link, device or other special file: 'x'")


def test_a_link_in_a_zip(folder: Path) -> None:
    info = zipfile.ZipInfo("x")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(write_zip(folder / "a.zip", [(info, b"/etc/passwd")]), "link, device or other special file: 'x'")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("./a", "a")])
def test_a_name_twice(folder: Path, names: tuple[str, str]) -> None:
    refused(write_tar(folder / "a.tgz", [(tarfile.TarInfo(name), b"x") for name in names]), "twice")
    refused(write_zip(folder / "a.zip", [(zipfile.ZipInfo(name), b"x") for name in names]), "twice")


def test_bombs(folder: Path) -> None:
    zeros = bytes(50 << 20)
    says = "exceeds the limit on unpacked bytes"
    refused(write_tar(folder / "a.tgz", [(tarfile.TarInfo("x"), zeros)]), says)
    refused(write_zip(folder / "a.zip", [(zipfile.ZipInfo("x"), zeros)]), says)
    many = [(tarfile.TarInfo(f"{i}"), bytes(1 << 20)) for i in range(5)]
    refused(write_tar(folder / "b.tgz", many), says, Limits(bytes=4 << 20, ratio=10_000))


def test_a_zip_that_lies_about_its_size(folder: Path) -> None:
    archive = write_zip(folder / "a.zip", [(zipfile.ZipInfo("x"), bytes(50 << 20))])
    archive.write_bytes(archive.read_bytes().replace((50 << 20).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    refused(archive, r"a\.zip")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE])
def test_digits_that_take_hours_to_search(folder: Path, kind: bytes) -> None:
    """A megabyte of them, in the header before a member, which Python 3.11's tarfile searches with a slow pattern."""
    info = tarfile.TarInfo("header")
    info.type, info.size = kind, 1 << 20
    data = info.tobuf(tarfile.USTAR_FORMAT) + b"1" * info.size + tarfile.TarInfo("a").tobuf() + bytes(1024)
    (folder / "a.tar").write_bytes(data)
    refused(folder / "a.tar", "has an oversized header")


def test_a_bomb_of_headers(folder: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "0" * (20 << 20)}
    refused(write_tar(folder / "a.tgz", [(info, b"")]), "has an oversized header", Limits(ratio=10_000))


def test_a_sparse_file(folder: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 40)}
    refused(write_tar(folder / "a.tar", [(info, b"")], "w:"), "special file")


def test_a_size_below_zero(folder: Path) -> None:
    archive = write_tar(folder / "a.tar", [(tarfile.TarInfo("x"), b"")], "w:")
    raw = bytearray(archive.read_bytes())
    raw[124:136] = b"\xff" * 11 + b"\x00"  # base 256: -256
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw[:512]):06o}\0 ".encode()
    archive.write_bytes(raw)
    refused(archive, r"a\.tar")


def test_too_many_members(folder: Path) -> None:
    members = [(tarfile.TarInfo(f"{i}"), b"") for i in range(11)]
    refused(write_tar(folder / "a.tgz", members), "more than 10 members", Limits(members=10))


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"\x1f\x8b", b"no archive at all" * 100, gzip.compress(b"no tar" * 999, mtime=0)]
)
def test_what_is_no_archive(folder: Path, data: bytes) -> None:
    (folder / "a.tgz").write_bytes(data)
    refused(folder / "a.tgz", r"cannot unpack a\.tgz")


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_a_cut_archive(folder: Path, kind: str) -> None:
    if kind == "tgz":
        archive = write_tar(folder / "a", [(tarfile.TarInfo(name), data) for name, data in FILES.items()])
    else:
        archive = write_zip(folder / "a", [(zipfile.ZipInfo(name), data) for name, data in FILES.items()])
    whole = archive.read_bytes()
    for size in range(3, len(whole) - 1, len(whole) // 9):
        archive.write_bytes(whole[:size])
        refused(archive, "cannot unpack a")


def test_flipped_bytes_never_write_outside(folder: Path) -> None:
    archive = write_tar(folder / "a", [(tarfile.TarInfo(name), b"data") for name in FILES], "w:")
    whole = archive.read_bytes()
    for place in range(0, 1024, 7):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0x2E]) + whole[place + 1 :])
        try:
            unpack(archive, folder / f"out{place}")
        except WeightsError:
            assert not (folder / f"out{place}").exists()
    assert {path.parent for path in folder.parent.parent.rglob("*")} >= {folder}
    assert sorted(path.name for path in folder.parent.iterdir()) == ["er"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_more_than_is_asked_for(folder: Path, method: int) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", method) as archive:
        archive.writestr("x", bytes(50 << 20))
    refused(folder / "a.zip", "uses a compression method other than deflate")
