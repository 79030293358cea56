"""Copies on this disk of photos that come in groups: one file for each group, in the cache, within its budget.

A file begins with two numbers for each photo, int64 and little-endian: where in the file its bytes start and stop. The
start is negative if the bytes are the reason why the photo cannot be read. Files are written whole or not at all, by
any number of processes, and may be deleted at any time; lungfish does so only when no process uses them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path

from lungfish.core import space
from lungfish.core.cache import cache_folder
from lungfish.core.errors import MachineError, UnreadablePhotoError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_json
from lungfish.data.sources.assembly import Listing

VERSION = 1  # raise it when a file would be laid out otherwise
ENTRY = struct.Struct("<qq")


@dataclass
class Copies:
    """The groups of one source. Thread-safe, and can be pickled.

    Args:
        folder: of the files; see `plan_copies`.
        needed_bytes: what all of them take, about.
        room_bytes: what they may take.
    """

    folder: Path
    needed_bytes: int
    room_bytes: int
    _has_room: bool = field(default=False, init=False)
    _is_full: bool = field(default=False, init=False)
    _in_use: object = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._in_use = space.in_use(self.folder)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_in_use": None}  # whoever began the other process holds it

    def read(self, group: int, position: int) -> bytes | UnreadablePhotoError | None:
        """A photo of a group; None if there is no copy of the group."""
        try:
            with self._file(group).open("rb") as file:
                file.seek(position * ENTRY.size)
                start, stop = ENTRY.unpack(file.read(ENTRY.size))
                file.seek(abs(start))
                data = file.read(stop - abs(start))
        except (OSError, ValueError, struct.error):  # deleted, or damaged on the disk
            return None
        if start == 0 or len(data) != stop - abs(start):
            return None
        return data if start > 0 else UnreadablePhotoError(data.decode(errors="replace"))

    def write(self, group: int, items: Sequence[bytes | UnreadablePhotoError]) -> None:
        """Keep a group. Where there is no room, or nothing can be written, do nothing: a cache must not end a run."""
        content = [item if isinstance(item, bytes) else item.message.encode() for item in items]
        stops = list(accumulate(map(len, content), initial=len(items) * ENTRY.size))
        self.room_bytes -= stops[-1]
        if self._is_full or self.room_bytes < 0:
            return
        entries = [
            ENTRY.pack(start if isinstance(item, bytes) else -start, stop)
            for item, (start, stop) in zip(items, pairwise(stops), strict=True)
        ]
        try:
            self._make_room()
            write_atomic(self._file(group), b"".join([*entries, *content]))
        except MachineError:
            self._is_full = True

    def _file(self, group: int) -> Path:
        return self.folder / f"{group}.photos"

    def _make_room(self) -> None:
        if not self._has_room and not self.folder.exists():
            space.make_room(self.folder, self.needed_bytes)
        self._has_room = True


def plan_copies(identity: object, needed_bytes: int, listing: Listing, otherwise: str) -> Copies | None:
    """Where to keep copies of a source; None if they would take more than the cache's budget or the disk has.

    Args:
        identity: a JSON value that differs where the source or its groups do.
        needed_bytes: what the copies take, about.
        listing: warned if there is no room.
        otherwise: what it means that there are no copies, for the warning.

    Raises:
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    folder = cache_folder() / "photos" / sha256_json([VERSION, identity])[:32]
    room_bytes = space.bytes_available(folder)
    if needed_bytes > room_bytes:
        listing.warnings.append(
            f"the photos are not cached: they take {needed_bytes / 1e9:.3g} GB, and"
            f" LUNGFISH_CACHE_GB or the disk leaves {room_bytes / 1e9:.3g} GB; {otherwise}"
        )
        return None
    return Copies(folder, needed_bytes, room_bytes)
