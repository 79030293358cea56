"""Cache photos that are read in groups, in one local file for each group.

A file begins with two int64 in little-endian order for each photo: start and stop of its bytes in the file. If the
start is negative, the bytes say why the photo is unreadable. Files are written whole or not at all, by any
number of processes, and may be deleted at any time; Lungfish deletes them only when no process uses them.
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

VERSION = 1  # increase if the layout of a file changes
ENTRY = struct.Struct("<qq")


@dataclass
class Copies:
    """Cached groups of one source. Thread-safe and picklable.

    Args:
        folder: Folder of the files; see `plan_copies`.
        needed_bytes: Approximate size of all groups.
        room_bytes: Space available for them.
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
        return self.__dict__ | {"_in_use": None}  # held by the parent process

    def read(self, group: int, position: int) -> bytes | UnreadablePhotoError | None:
        """Return a photo of a group, or None if the group is not cached."""
        try:
            with self._file(group).open("rb") as file:
                file.seek(position * ENTRY.size)
                start, stop = ENTRY.unpack(file.read(ENTRY.size))
                file.seek(abs(start))
                data = file.read(stop - abs(start))
        except (OSError, ValueError, struct.error):  # deleted or damaged
            return None
        if start == 0 or len(data) != stop - abs(start):
            return None
        return data if start > 0 else UnreadablePhotoError(data.decode(errors="replace"))

    def write(self, group: int, items: Sequence[bytes | UnreadablePhotoError]) -> None:
        """Cache a group. Does nothing without room, or if it cannot be written: a cache must not abort a run."""
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
    """Return the cached copies of a source; None if they would exceed the cache's budget or the disk.

    Args:
        identity: JSON value that differs if the source or its groups differ.
        needed_bytes: Approximate size of the copies.
        listing: Listing that receives a warning if there is no room.
        otherwise: Effect of having no copies, for the warning.

    Raises:
        UsageError: `LUNGFISH_CACHE_GB` is not a positive number.
    """
    folder = cache_folder() / "photos" / sha256_json([VERSION, identity])[:32]
    room_bytes = space.bytes_available(folder)
    if needed_bytes > room_bytes:
        listing.warnings.append(
            f"the photos are not cached: they take {needed_bytes / 1e9:.3g} GB, but"
            f" LUNGFISH_CACHE_GB or the disk leaves only {room_bytes / 1e9:.3g} GB; {otherwise}"
        )
        return None
    return Copies(folder, needed_bytes, room_bytes)
