"""Random access to photos that are cheap to read only in groups: the rows of a row group, the neighbors on a server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from lungfish.core.errors import DownloadError, LungfishError, UnreadablePhotoError
from lungfish.data.photos import Photo
from lungfish.data.sources.copies import Copies

# Groups held in memory: neighbors that several threads read at once, and no more.
GROUPS_HELD = 3

# A photo, why it cannot be read, or why it cannot be read now.
Item = bytes | UnreadablePhotoError | DownloadError


class Groups(Protocol):
    """How a source is read. Can be pickled."""

    def find(self, row: int) -> tuple[int, int]:
        """The group of a row, and the row's position in it."""
        ...

    def load(self, group: int) -> Sequence[Item]:
        """All photos of a group, or why one cannot be read. Called from several threads at once.

        Raises:
            LungfishError: none can be read now.
        """
        ...


class GroupReader:
    """Reads photos by row. Thread-safe, and can be pickled.

    A group is loaded when the first of its photos is asked for, and copied to the disk: from then on each of its photos
    is read alone, in any order. The last few groups stay in memory; without copies, a photo far away costs its group.

    Args:
        groups: how the source is read.
        copies: where they are kept; None to keep none.
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
        """All of a group, loaded by the first thread that asks while the others wait."""
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
            lasting = [item for item in items if not isinstance(item, DownloadError)]
            if len(lasting) < len(items):
                self._forget(group, future)
            elif self.copies:
                self.copies.write(group, lasting)
            future.set_result(items)
        except BaseException as error:  # noqa: BLE001  whoever waits for the group must hear of it
            self._forget(group, future)
            future.set_exception(error)

    def _forget(self, group: int, future: Future[Sequence[Item]]) -> None:
        with self._lock:
            if self._held.get(group) is future:
                del self._held[group]
