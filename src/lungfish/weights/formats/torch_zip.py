"""Read PyTorch's zip format: `NAME/data.pkl`, and `NAME/data/KEY` for each storage, uncompressed.

`zipfile` reads the archive's directory once, and all code here uses that result. An archive with two directories, on
which readers may disagree, therefore cannot show different contents to the checks and to the loader.

Source: `torch.serialization._load` of torch 2.14.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from lungfish.core.errors import WeightsError
from lungfish.core.names import printable
from lungfish.core.zip_directory import open_zip
from lungfish.weights.formats.limits import MAX_TENSORS, check_size
from lungfish.weights.formats.pickle_machine import MAX_PICKLE_BYTES, DamagedError
from lungfish.weights.formats.stored_tensors import DType, Storage, Stretch, TorchContent
from lungfish.weights.formats.torch_objects import Objects

MAGIC = b"PK\x03\x04"
PLAIN_HINT = "Only plain tensors are read. Ask the author for safetensors, or for the bare state dict."
MAX_OTHERS = 100  # limit on members that are not storages; torch writes 6
_LOCAL = struct.Struct("<4s5H3I2H")  # header of a member; ends with the lengths of name and extra field
_ENCRYPTED, _UTF8 = 0x1, 0x800
BYTE_ORDERS: Mapping[bytes | None, Literal["<", ">"]] = {None: "<", b"little": "<", b"big": ">"}


def open_torch_zip(path: Path, file: IO[bytes]) -> TorchContent:
    """Return the contents of an archive.

    Args:
        path: Path of the file, for its size and for messages.
        file: The open, seekable file.

    Raises:
        WeightsError: It is a program, or claims to contain more than the file.
        NotPlainError: It contains more than plain tensors.
        zipfile.BadZipFile, ValueError, KeyError and what `Objects.load` raises: It is damaged.
    """
    archive = open_zip(file)
    members = archive.infolist()
    _check_kind(path, members)
    starts = _starts(file, members, path.stat().st_size)
    root = members[0].orig_filename.partition("/")[0]
    sizes = {member.orig_filename: member.file_size for member in members}

    def content(name: str, most: int) -> bytes | None:
        full = f"{root}/{name}"
        if full not in sizes:
            return None
        if sizes[full] > most:
            raise DamagedError(f"{full} has more than {most:,} bytes")
        file.seek(starts[full])
        return file.read(sizes[full])

    order = content("byteorder", 16)
    pickled = content("data.pkl", MAX_PICKLE_BYTES)
    if pickled is None:
        raise DamagedError("it contains no data.pkl")
    storages: dict[str, Storage] = {}

    def find(saved_id: tuple[Any, ...]) -> Stretch:
        return _stretch(saved_id, storages, sizes, f"{root}/data/")

    value = Objects(find).load(io.BytesIO(pickled))
    places = {key: starts[f"{root}/data/{key}"] for key in storages}
    return TorchContent(value, file, places, BYTE_ORDERS[order])


def _check_kind(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    if any(member.filename.endswith("/constants.pkl") or "/code/" in member.filename for member in members):
        raise WeightsError(f"{printable(path.name)} is a TorchScript archive: a program, not plain tensors", PLAIN_HINT)
    check_size(path, sum(member.file_size for member in members))
    if not 0 < len(members) <= MAX_TENSORS + MAX_OTHERS:
        raise DamagedError(f"it contains {len(members):,} members; at most {MAX_TENSORS + MAX_OTHERS:,} are read")
    if len({member.orig_filename for member in members}) != len(members):
        raise DamagedError("it contains a member twice")


def _starts(file: IO[bytes], members: Sequence[zipfile.ZipInfo], size: int) -> dict[str, int]:
    """Return where the bytes of each member begin; members must not overlap."""
    starts, free = {}, 0
    for member in sorted(members, key=lambda member: member.header_offset):
        name = printable(member.orig_filename)
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & _ENCRYPTED:
            raise DamagedError(f"{name} is compressed or encrypted, which torch never does")
        if member.compress_size != member.file_size:
            raise DamagedError(f"{name} has two sizes")
        file.seek(member.header_offset)
        encoded = member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437")
        header = file.read(_LOCAL.size + len(encoded))
        if len(header) < _LOCAL.size + len(encoded):
            raise DamagedError("it is truncated")
        magic, *_, name_bytes, extra_bytes = _LOCAL.unpack_from(header)
        if magic != MAGIC or name_bytes != len(encoded) or header[_LOCAL.size :] != encoded:
            raise DamagedError(f"{name} has another name in its local header")
        start = member.header_offset + len(header) + extra_bytes
        if member.header_offset < free or start + member.file_size > size:
            raise DamagedError(f"{name} overlaps another member or reaches past the end of the file")
        starts[member.orig_filename], free = start, start + member.file_size
    return starts


def _stretch(saved_id: tuple[Any, ...], storages: dict[str, Storage], sizes: Mapping[str, int], folder: str) -> Stretch:
    """Return the storage a persistent id names; add it to `storages`."""
    kind, dtype, key, _location, count = saved_id
    if kind != "storage" or not isinstance(dtype, DType) or type(key) is not str or type(count) is not int:
        raise DamagedError("its pickle refers to a value that is not a storage")
    storage = Storage(key, dtype, count * dtype.bytes)
    if storages.setdefault(key, storage) != storage:
        raise DamagedError(f"storage {printable(key)} is described twice")
    if sizes.get(folder + key) != storage.bytes:
        raise DamagedError(f"storage {printable(key)} is not as large as its pickle says")
    return Stretch(storage, 0, storage.bytes)
