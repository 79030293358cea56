"""Archives from strangers: plain files inside one folder, or nothing."""

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
# Of an extended header. Python 3.11's tarfile searches it in a time that grows with the square: 1 ms for this.
LARGEST_HEADER_BYTES = 1024
LARGEST_READ = 16 << 20  # by which a tar file's own headers are read whole into memory
_FORBIDDEN = re.compile(r"[\x00-\x1f\\:]|[. ]$")  # backslash, drive and stream; Windows drops a dot or space at the end
# Windows takes these for devices whatever follows a dot, and drops spaces before it: `aux .txt` is the device AUX.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error),
    *(EOFError, ValueError, OverflowError, RuntimeError, lzma.LZMAError),
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold, counted while it is unpacked.

    Args:
        members: files and folders.
        bytes: unpacked.
        ratio: bytes unpacked to bytes packed; the first MiB is let through.
    """

    members: int = 10_000
    bytes: int = 8 << 30
    ratio: int = 100


def unpack(
    archive: Path, target: Path, limits: Limits | None = None, at_last: Callable[[Path], None] | None = None
) -> None:
    """Unpack a .tar, .tar.gz or .zip, told by its content, into a new folder, which exists whole or not at all.

    Args:
        archive: the file.
        target: the folder to bring about; must not exist.
        limits: how much it may hold.
        at_last: called with the folder that holds everything, before it becomes `target`.

    Raises:
        WeightsError: damaged, too large, or with a member that is no plain file or folder inside the archive.
        StorageError: disk full, read-only or forbidden.
    """
    limits = limits or Limits()
    with staged_folder(target) as stage, _explained(archive):
        room = _Room(min(limits.bytes, max(1 << 20, limits.ratio * archive.stat().st_size)))
        with archive.open("rb") as file:
            read = _zip_members if file.read(2) == b"PK" else _tar_members
        for count, (name, content) in enumerate(read(archive, room), start=1):
            if count > limits.members:
                raise _RefusedError(f"holds more than {plural(limits.members, 'member')}")
            _write(_place(stage, name), content)
        if at_last:
            at_last(stage)


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...


class _RefusedError(Exception):
    """What is wrong with an archive; `unpack` adds its name."""


@dataclass
class _Room:
    """How many bytes may still be unpacked."""

    bytes: int

    def take(self, count: int) -> None:
        self.bytes -= count
        if self.bytes < 0:
            raise _RefusedError("unpacks to more than it may")


@dataclass
class _Metered:
    """A file of which every byte that is read takes room: data, and the headers of a tar file."""

    file: IO[bytes]
    room: _Room
    peeked: bytes = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST_READ:
            raise _RefusedError("has a header of an absurd size")
        data, self.peeked = self.peeked[:size], self.peeked[size:]
        data += self.file.read(size - len(data))
        self.room.take(len(data))
        return data

    def peek(self, size: int) -> bytes:
        """The next bytes, which `read` returns again."""
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
    """A header that is looked at before `tarfile` parses what follows it."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        with suppress(tarfile.HeaderError):  # tarfile says what is wrong, or that this is the end
            block = cast("_Metered", tar.fileobj).peek(tarfile.BLOCKSIZE)
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            is_extended = info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
            if is_extended and not 0 <= info.size <= LARGEST_HEADER_BYTES:
                raise _RefusedError("has a header of an absurd size")
        return super().fromtarfile(tar)


def _tar_members(archive: Path, room: _Room) -> Iterator[tuple[str, _Readable | None]]:
    """Name and content of each member; None for a folder's content."""
    with archive.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(archive, "rb") as file:
        metered = cast("IO[bytes]", _Metered(cast("IO[bytes]", file), room))
        with tarfile.open(fileobj=metered, mode="r:", tarinfo=_Header) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()) or member.issparse() or member.size < 0:
                    raise _RefusedError(f"holds a link, device or other special file: {printable(member.name)!r}")
                yield member.name, tar.extractfile(member)
        while metered.read(PIECE_BYTES):  # to the checksum at the end
            pass


def _zip_members(archive: Path, room: _Room) -> Iterator[tuple[str, _Readable | None]]:
    """Name and content of each member; None for a folder's content."""
    with archive.open("rb") as file, open_zip(file) as packed:
        for info in packed.infolist():
            name = info.orig_filename  # zipfile cuts the other one at a zero byte
            if not info.filename:  # of which it cannot say whether it is a folder
                raise _RefusedError(f"holds {printable(name)!r}, which is no path inside it on every system")
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _RefusedError(f"holds a link, device or other special file: {printable(name)!r}")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _RefusedError("is compressed in a way that unpacks more at once than is asked for")
            if info.is_dir():
                yield name, None
            else:
                with packed.open(info) as content:
                    yield name, _Metered(content, room)


def _place(stage: Path, name: str) -> Path:
    """Where a member goes."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or any(
        part == ".." or _FORBIDDEN.search(part) or _RESERVED.fullmatch(part) for part in parts
    ):
        raise _RefusedError(f"holds {printable(name)!r}, which is no path inside it on every system")
    return stage.joinpath(*parts)


def _write(path: Path, content: _Readable | None) -> None:
    try:
        (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
        if content is not None:
            with path.open("xb") as file:
                while data := content.read(PIECE_BYTES):
                    file.write(data)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _RefusedError(f"holds {printable(path.name)!r} twice") from None


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    name = printable(archive.name)
    try:
        yield
    except _RefusedError as error:
        raise WeightsError(f"refused to unpack {name}: it {error}", "Nothing of it was kept.") from None
    except _DAMAGED as error:
        raise WeightsError(f"cannot unpack {name}: {printable(str(error))}", "Fetch it again.") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # what the system answers to a place before the file's first byte
            raise
        raise WeightsError(f"cannot unpack {name}: a member begins before the file", "Fetch it again.") from None
