"""Read the headers of an untrusted tar: names and positions of plain files, in one pass of bounded steps.

`tarfile` parses each block. Headers are combined here, since `tarfile` searches extended headers with regexes that
take hours on a megabyte of digits (`hdrcharset` in Python 3.11), and applies global ones to every member.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from lungfish.core.names import printable

MAX_MEMBERS = 5_000_000
MAX_HEADER_BYTES = 1 << 20  # of an extended header, which may have attributes that we ignore
MAX_NAME_BYTES = 4096  # longest path on Linux
MAX_HEADERS = 8  # before one member: a long name, a long link, an extended header
_BLOCK = tarfile.BLOCKSIZE
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)


class DamagedTarError(Exception):
    """A tar is damaged; the message says how."""


@dataclass(frozen=True, slots=True)
class Member:
    """A plain file in a tar.

    Args:
        name: Name as written in the tar.
        start: Position of its first byte.
        size: Size in bytes.
    """

    name: str
    start: int
    size: int


def members(file: BinaryIO, bytes_: int) -> Iterator[Member]:
    """Yield the plain files of a tar; links, devices and sparse files are skipped.

    Args:
        file: The tar; its position may be changed between two members.
        bytes_: Size of the tar.

    Raises:
        DamagedTarError: A header is missing or contradictory.
    """
    offset = 0
    for _ in range(MAX_MEMBERS):
        header = _next_header(file, offset, bytes_)
        if header is None:
            return
        member, is_plain, offset = header
        if member.size < 0 or member.start + member.size > bytes_:
            raise DamagedTarError(f"{printable(member.name[:80])} ends past the end of the file")
        if is_plain:
            yield member
        if offset > bytes_:
            raise DamagedTarError("unexpected end of data")
    raise DamagedTarError(f"more than {MAX_MEMBERS:,} members")


def _next_header(file: BinaryIO, offset: int, bytes_: int) -> tuple[Member, bool, int] | None:
    """Return a member, whether it is a plain file, and the position of the next header; None at the end."""
    long_name = ""
    records: dict[bytes, bytes] = {}
    is_announced = False  # whether a separate header came before it
    for _ in range(MAX_HEADERS):
        file.seek(offset)
        info = _header(file.read(_BLOCK), offset, is_announced=is_announced)
        if info is None:
            return None
        offset += _BLOCK
        if info.type in (tarfile.GNUTYPE_LONGNAME, *_EXTENDED):
            data = _payload(file, info, MAX_HEADER_BYTES if info.type in _EXTENDED else MAX_NAME_BYTES + 1)
            if info.type in _EXTENDED:
                records |= _records(data)
            else:
                long_name = _text(data.partition(b"\0")[0])
        elif info.type not in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            return _member(file, info, offset, long_name, records)
        is_announced |= info.type != tarfile.XGLTYPE
        offset += _whole_blocks(info.size)
        if info.size < 0 or offset > bytes_:
            raise DamagedTarError("a header that is too large")
    raise DamagedTarError(f"more than {MAX_HEADERS} headers for one member")


def _header(block: bytes, offset: int, *, is_announced: bool) -> tarfile.TarInfo | None:
    """Return a header; None at the end of the tar, which is zeros or the end of the file."""
    if not is_announced and not block.strip(b"\0") and len(block) in (0, _BLOCK):
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise DamagedTarError(f"no header at byte {offset:,}: {error}") from None


def _member(
    file: BinaryIO, info: tarfile.TarInfo, offset: int, long_name: str, records: dict[bytes, bytes]
) -> tuple[Member, bool, int]:
    size = info.size
    if b"size" in records:
        if not records[b"size"].isdigit() or len(records[b"size"]) > 20:
            raise DamagedTarError("a size that is not a number")
        size = int(records[b"size"])
    path = records.get(b"path")
    name = long_name or info.name if path is None else _text(path).rstrip("/")
    if len(name) > MAX_NAME_BYTES:
        raise DamagedTarError(f"a name of {len(name):,} characters")
    is_sparse = info.type == tarfile.GNUTYPE_SPARSE
    if is_sparse:
        offset = _skip_sparse_map(file, offset)
    has_data = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    is_plain = info.isreg() and not is_sparse and not any(key.startswith(b"GNU.sparse.") for key in records)
    return Member(name, offset, size if has_data else 0), is_plain, offset + _whole_blocks(size if has_data else 0)


def _skip_sparse_map(file: BinaryIO, offset: int) -> int:
    """Return the start of the data of an old GNU sparse file, after the blocks of its map."""
    file.seek(offset - _BLOCK)
    is_extended = file.read(_BLOCK)[482:483] not in (b"", b"\0")
    while is_extended:
        block = file.read(_BLOCK)
        offset += _BLOCK
        is_extended = block[504:505] not in (b"", b"\0")
    return offset


def _payload(file: BinaryIO, info: tarfile.TarInfo, most: int) -> bytes:
    if not 0 <= info.size <= most:
        raise DamagedTarError("a header that is too large")
    return file.read(info.size)


def _records(data: bytes) -> dict[bytes, bytes]:
    """Return the keys and values of an extended header: lines of `LENGTH KEY=VALUE`, with the line's own length."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        digits, space, _ = data[at : at + 20].partition(b" ")
        if not space or not digits.isdigit():
            break
        stop = at + int(digits)
        key, equals, value = data[at + len(digits) + 1 : stop - 1].partition(b"=")
        if not equals:
            raise DamagedTarError("an invalid extended header")
        found[key] = value
        at = stop
    return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
