"""Index a WebDataset shard: names, labels and offsets of a tar that is read once.

Consecutive members with the same stem are one sample: `0001.jpg`, `0001.cls`. Nothing is ever unpickled or executed.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from lungfish.core import space
from lungfish.core.cache import cache_folder
from lungfish.core.errors import StorageError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_json
from lungfish.core.names import printable
from lungfish.data.photos import SkippedFile
from lungfish.data.sources.directory import Directory
from lungfish.data.sources.tar_headers import DamagedTarError, Member, members
from lungfish.data.sources.tree import PHOTO_SUFFIXES, is_junk
from lungfish.runtime.decode import MAX_PHOTO_BYTES

VERSION = 2  # increase if the index of a shard changes
LABELS = ("cls", "json", "txt")  # the first that exists counts
MAX_LABEL_BYTES = 1 << 16
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_STEM = re.compile(r"((?:.*/)?[^/.][^/.]*)\.([^/]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ShardSample:
    """A labelled picture in a tar.

    Args:
        name: Name of the picture, as written in the tar.
        label: Label, as written in its label member.
        start: Position of its first byte.
        stop: Position after its last byte.
    """

    name: str
    label: str
    start: int
    stop: int


@dataclass
class Shard:
    """Samples and skipped members of a tar, in file order; a skipped file without a name is the tar itself."""

    samples: list[ShardSample] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)


def read_shard(directory: Directory, name: str) -> Shard:
    """Return the samples of a shard, from the cache if it was read before. A truncated tar yields its first samples.

    Raises:
        LungfishError: The shard cannot be opened.
    """
    key = sha256_json([VERSION, directory.stamp(name)])
    index = cache_folder() / "shards" / f"{key[:32]}.json"
    try:
        rows = json.loads(index.read_bytes())
        space.touch(index)
        return Shard([ShardSample(*row) for row in rows["samples"]], [SkippedFile(*row) for row in rows["skipped"]])
    except (OSError, ValueError, TypeError, KeyError):
        pass  # missing or damaged
    with directory.open(name) as file:
        shard = _index(file)
    samples = [[each.name, each.label, each.start, each.stop] for each in shard.samples]
    skipped = [[each.file, each.reason] for each in shard.skipped]
    with contextlib.suppress(StorageError):  # without a cache it is read again next time
        write_atomic(index, json.dumps({"samples": samples, "skipped": skipped}))
    return shard


@dataclass
class _Parts:
    """Members of the current sample so far."""

    stem: str
    pictures: int = 0
    picture: tuple[str, int, int] = "", 0, 0  # name, offset and size of the first
    labels: dict[str, str] = field(default_factory=dict)
    fault: str = ""


def _index(file: BinaryIO) -> Shard:
    shard = Shard()
    parts = _Parts("")
    begin = file.read(6)
    bytes_ = file.seek(0, 2)
    file.seek(0)
    if begin.startswith(_COMPRESSED):
        shard.skipped.append(SkippedFile("", "compressed, so individual photos cannot be read; decompress it first"))
        return shard
    try:
        for member in members(file, bytes_):
            matched = _STEM.fullmatch(member.name)
            if matched is None or is_junk(PurePosixPath(member.name).name):
                continue
            if matched[1] != parts.stem:
                _finish(shard, parts)
                parts = _Parts(matched[1])
            _add(parts, member, matched[2].lower(), file)
        _finish(shard, parts)
    except (DamagedTarError, ValueError, OverflowError) as error:
        _finish(shard, parts)
        reason = f"damaged after {len(shard.samples):,} samples: {printable(str(error))}"
        shard.skipped.append(SkippedFile("", reason))
    return shard


def _add(parts: _Parts, member: Member, extension: str, file: BinaryIO) -> None:
    if f".{extension.rpartition('.')[2]}" in PHOTO_SUFFIXES:
        if not parts.pictures:
            parts.picture = member.name.removeprefix("./"), member.start, member.size
        parts.pictures += 1
    elif extension in LABELS:
        if member.size > MAX_LABEL_BYTES:
            parts.fault = f"a .{extension} of {member.size:,} bytes"
            return
        file.seek(member.start)
        parts.labels[extension] = _label(extension, file.read(member.size))


def _label(extension: str, data: bytes) -> str:
    """Return the class in a label member; empty if there is none."""
    try:
        text = data.decode().strip()
        if extension != "json":
            return text
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if isinstance(value, dict):
        value = value.get("label")
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _finish(shard: Shard, parts: _Parts) -> None:
    """Add a sample, or the reason why it is skipped. Stems without a picture are ignored silently."""
    if not parts.pictures:
        return
    name, start, size = parts.picture
    label = next((parts.labels[each] for each in LABELS if parts.labels.get(each)), "")
    fault = parts.fault
    if parts.pictures > 1:
        fault = f"{parts.pictures:,} pictures in one sample"
    elif size > MAX_PHOTO_BYTES:
        fault = f"{size:,} bytes; at most {MAX_PHOTO_BYTES:,} are allowed"
    elif not label and not fault:
        fault = "no label in a .cls, .json or .txt of the same name; pickles are never read"
    if fault:
        shard.skipped.append(SkippedFile(name, fault))
    else:
        shard.samples.append(ShardSample(name, label, start, start + size))
