"""Unpack untrusted archives: regular files inside one folder, or nothing at all."""

from __future__ import annotations

import errno
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, Self, cast

from lungfish.core.errors import WeightsError
from lungfish.core.names import plural, printable
from lungfish.core.staging import staged_folder
from lungfish.core.zip_directory import open_zip

PIECE_BYTES = 1 << 20
# Limit for an extended header. Python 3.11's tarfile takes quadratic time to search it: 1 ms at this size.
LARGEST_HEADER_BYTES = 1024
LARGEST_READ = 16 << 20  # tarfile reads the headers of a tar file into memory in one piece
# Control characters; backslashes and colons, which Windows reads as separators, drives and streams; and a dot or space
# at the end, which Windows drops.
_FORBIDDEN = re.compile(r"[\x00-\x1f\\:]|[. ]$")
# Windows treats these as devices with any extension, and ignores spaces before the dot: `aux .txt` is the device AUX.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error),
    *(EOFError, ValueError, OverflowError, RuntimeError, lzma.LZMAError),
)


@dataclass(frozen=True)
class Limits:
    """Limits on an archive's content, enforced while it is unpacked.

    Args:
        members: Largest number of files and folders.
        bytes: Largest unpacked size.
        ratio: Largest ratio of unpacked to packed bytes; the first MiB is exempt.
    """

    members: int = 10_000
    bytes: int = 8 << 30
    ratio: int = 100


def unpack(
    archive: Path, target: Path, limits: Limits | None = None, at_last: Callable[[Path], None] | None = None
) -> None:
    """Unpack a .tar, .tar.gz or .zip archive into a new folder, which appears whole or not at all.

    The format is recognized by the content.

    Args:
        archive: Path of the archive.
        target: Folder to create; must not exist.
        limits: Limits on the content.
        at_last: Called with the complete folder before it is renamed to `target`.

    Raises:
        WeightsError: The archive is damaged or exceeds a limit, or a member is a link, a device or outside `target`.
        StorageError: The disk is full or read-only, or permission is denied.
    """
    limits = limits or Limits()
    with staged_folder(target) as stage, _explained(archive):
        room = _Room(min(limits.bytes, max(1 << 20, limits.ratio * archive.stat().st_size)))
        with archive.open("rb") as file:
            read = _zip_members if file.read(2) == b"PK" else _tar_members
        for count, (name, content) in enumerate(read(archive, room), start=1):
            if count > limits.members:
                raise _RefusedError(f"contains more than {plural(limits.members, 'member')}")
            _write(_place(stage, name), content)
        if at_last:
            at_last(stage)


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...


class _RefusedError(Exception):
    """The reason to refuse an archive; `unpack` adds its name."""


@dataclass
class _Room:
    """The number of bytes that may still be unpacked."""

    bytes: int

    def take(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise _RefusedError("exceeds the limit on unpacked bytes")


@dataclass
class _Metered:
    """A file wrapper that subtracts every byte read, tar headers included, from the room left."""

    file: IO[bytes]
    room: _Room
    peeked: bytes = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST_READ:
            raise _RefusedError("has an oversized header")
        data, self.peeked = self.peeked[:size], self.peeked[size:]
        data += self.file.read(size - len(data))
        self.room.take(len(data))
        return data

    def peek(self, size: int) -> bytes:
        """Return the next bytes without consuming them."""
        self.peeked += self.file.read(size - len(self.peeked))
        return self.peeked

    def seek(self, offset: int) -> int:
        if offset == self.tell():
            return offset
        self.peeked = b""
        return self.file.seek(offset)

    def tell(self) -> int:
        return self.file.tell() - len(self.peeked)


class _Header(tarfile.TarInfo):
    """A tar header whose size is checked before `tarfile` parses the data after it."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        with suppress(tarfile.HeaderError):  # tarfile itself reports it, or finds the end of the archive
            block = cast("_Metered", tar.fileobj).peek(tarfile.BLOCKSIZE)
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            is_extended = info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
            if is_extended and not 0 <= info.size <= LARGEST_HEADER_BYTES:
                raise _RefusedError("has an oversized header")
        return super().fromtarfile(tar)


def _tar_members(archive: Path, room: _Room) -> Iterator[tuple[str, _Readable | None]]:
    """Yield the name and content of each member; the content of a folder is None."""
    with archive.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(archive, "rb") as file:
        metered = cast("IO[bytes]", _Metered(cast("IO[bytes]", file), room))
        with tarfile.open(fileobj=metered, mode="r:", tarinfo=_Header) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()) or member.issparse() or member.size < 0:
                    raise _RefusedError(f"contains a link, device or other special file: {printable(member.name)!r}")
                yield member.name, tar.extractfile(member)
        while metered.read(PIECE_BYTES):  # gzip verifies its checksum at the end
            pass


def _zip_members(archive: Path, room: _Room) -> Iterator[tuple[str, _Readable | None]]:
    """Yield the name and content of each member; the content of a folder is None."""
    with archive.open("rb") as file, open_zip(file) as packed:
        for info in packed.infolist():
            name = info.orig_filename  # zipfile truncates `filename` at a null byte
            if not info.filename:  # is_dir fails on an empty name
                raise _RefusedError(f"contains {printable(name)!r}, which is not a portable path inside the archive")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedError(f"contains a link, device or other special file: {printable(name)!r}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _RefusedError("uses a compression method other than deflate, so memory use cannot be limited")
            if info.is_dir():
                yield name, None
            else:
                with packed.open(info) as content:
                    yield name, _Metered(content, room)


def _place(stage: Path, name: str) -> Path:
    """Return the path at which a member is written."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or any(
        part == ".." or _FORBIDDEN.search(part) or _RESERVED.fullmatch(part) for part in parts
    ):
        raise _RefusedError(f"contains {printable(name)!r}, which is not a portable path inside the archive")
    return stage.joinpath(*parts)


def _write(path: Path, content: _Readable | None) -> None:
    try:
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            with path.open("xb") as file:
                while data := content.read(PIECE_BYTES):
                    file.write(data)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _RefusedError(f"contains {printable(path.name)!r} twice") from None


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    name = printable(archive.name)
    try:
        yield
    except _RefusedError as error:
        raise WeightsError(f"refused to unpack {name}: it {error}", "Nothing was written.") from None
    except _DAMAGED as error:
        raise WeightsError(f"cannot unpack {name}: {printable(str(error))}", "Fetch it again.") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to before the start of the file
            raise
        raise WeightsError(f"cannot unpack {name}: a member has a negative offset", "Fetch it again.") from None
