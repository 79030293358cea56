"""Random access to photos that are cheap to read in groups only, such as rows of a row group or files on a server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from lungfish.core.errors import DownloadError, LungfishError, UnreadablePhotoError
from lungfish.data.photos import Photo
from lungfish.data.sources.copies import Copies

# Groups in memory: enough for the neighbors that several threads read at once.
GROUPS_HELD = 3

# A photo, or why it cannot be read: a permanent fault, or a failed download, which may be tried again.
Item = bytes | UnreadablePhotoError | DownloadError


class Groups(Protocol):
    """How a source reads groups. Picklable."""

    def find(self, row: int) -> tuple[int, int]:
        """Return the group of a row, and the row's position in it."""
        ...

    def load(self, group: int) -> Sequence[Item]:
        """Return each photo of a group, or why it cannot be read. Called from several threads at once.

        Raises:
            LungfishError: The group cannot be read now.
        """
        ...


class GroupReader:
    """Reads photos by row. Thread-safe and picklable.

    A group is loaded when the first of its photos is read, and copied to the disk; after that its photos are read one
    by one in any order. The last few groups stay in memory. Without copies, reading a photo of another group loads that
    group.

    Args:
        groups: How the source reads groups.
        copies: Cached copies; None for no cache.
    """

    def __init__(self, groups: Groups, copies: Copies | None) -> None:
        self.groups, self.copies = groups, copies
        self._held: OrderedDict[int, Future[Sequence[Item]]] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"groups": self.groups, "copies": self.copies}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, photo: Photo) -> bytes:
        group, position = self.groups.find(photo.row)
        copy = self.copies.read(group, position) if self.copies and group not in self._held else None
        item = self._group(group)[position] if copy is None else copy
        if isinstance(item, bytes):
            return item
        raise UnreadablePhotoError(item.message)

    def _group(self, group: int) -> Sequence[Item]:
        """Return a whole group; the first thread that asks loads it while the others wait."""
        with self._lock:
            future = self._held.get(group)
            is_first = future is None
            if future is None:
                while len(self._held) >= GROUPS_HELD:
                    self._held.popitem(last=False)
                future = self._held[group] = Future()
            self._held.move_to_end(group)
        if is_first:
            self._load(group, future)
        try:
            return future.result()
        except LungfishError as error:
            raise UnreadablePhotoError(error.message) from None

    def _load(self, group: int, future: Future[Sequence[Item]]) -> None:
        try:
            items = self.groups.load(group)
            permanent = [item for item in items if not isinstance(item, DownloadError)]
            if len(permanent) < len(items):
                self._forget(group, future)
            elif self.copies:
                self.copies.write(group, permanent)
            future.set_result(items)
        except BaseException as error:  # noqa: BLE001  threads that wait for the group must get the error
            self._forget(group, future)
            future.set_exception(error)

    def _forget(self, group: int, future: Future[Sequence[Item]]) -> None:
        with self._lock:
            if self._held.get(group) is future:
                del self._held[group]
