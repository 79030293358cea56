"""What a disk may hold after a power cut: every write, rename and flush below a folder is recorded and replayed.

A file's content lasts once the file was flushed; a name lasts once the folder that holds it was flushed (both folders,
where one rename changes two). Of what was not flushed, a cut may keep nothing, everything, or any one operation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lungfish.core import renames

Inode = int
Folders = dict[Inode, dict[str, Inode]]
RENAMES = ("mkdir", "rename", "replace", "unlink", "remove", "rmdir", "link", "symlink")


@dataclass(frozen=True)
class Names:
    """Names that change in one step: a new inode for each, or None."""

    changes: dict[tuple[Inode, str], Inode | None]


@dataclass(frozen=True)
class Write:
    """A file's whole content from now on."""

    file: Inode
    data: bytes


@dataclass(frozen=True)
class Flush:
    """Of a file or a folder."""

    inode: Inode


Operation = Names | Write | Flush


@dataclass
class Disk:
    """Folders and files by inode."""

    root: Inode
    folders: Folders = field(default_factory=dict)
    files: dict[Inode, bytes] = field(default_factory=dict)

    def copy(self) -> Disk:
        return Disk(self.root, {inode: dict(names) for inode, names in self.folders.items()}, dict(self.files))

    def apply(self, operation: Operation) -> None:
        match operation:
            case Names(changes):
                for (folder, name), inode in changes.items():
                    self.folders.setdefault(folder, {})[name] = inode  # type: ignore[assignment]
                    if inode is None:
                        del self.folders[folder][name]
            case Write(file, data):
                self.files[file] = data

    def tree(self, inode: Inode | None = None) -> dict[str, Any]:
        """Names to bytes, or to the same of a folder."""
        names = self.folders.get(self.root if inode is None else inode, {})
        return {
            name: self.tree(child) if child in self.folders else self.files.get(child, b"")
            for name, child in names.items()
        }


class Recording:
    """What happened below a folder."""

    def __init__(self, root: Path) -> None:
        self._path, self._seen = root, dict[Inode, tuple[tuple[int, int], bytes]]()
        self.before = self._scan()
        self._now = self.before.copy()
        self.operations: list[Operation] = []

    def look(self, *, one_step: bool = False) -> None:
        """Note what has changed since the last look; as a single operation if `one_step`."""
        disk = self._scan()
        changes = {}
        for folder in {*disk.folders, *self._now.folders}:
            old, new = self._now.folders.get(folder, {}), disk.folders.get(folder, {})
            changes |= {(folder, name): new.get(name) for name in {*old, *new} if old.get(name) != new.get(name)}
        for folder in disk.folders:
            self._now.folders.setdefault(folder, {})
        if one_step and changes:
            self.operations.append(Names(changes))
        else:
            self.operations += [Names({place: inode}) for place, inode in changes.items()]
        self.operations += [
            Write(file, data) for file, data in disk.files.items() if self._now.files.get(file, b"") != data
        ]
        self._now = disk

    def flush(self, handle: int) -> None:
        """Note that a file or folder is flushed."""
        self.look()
        self.operations.append(Flush(os.fstat(handle).st_ino))

    def cuts(self) -> Iterator[Disk]:
        """What the disk may hold: after each operation, what was flushed, and none, all or one of the others."""
        for end in range(len(self.operations) + 1):
            flushed, pending = self._split(end)
            for chosen in (set(), set(pending), *({one} for one in pending)):
                yield self._after(flushed | chosen)

    def flushed(self) -> Disk:
        """What the disk holds at least, once all is done."""
        return self._after(self._split(len(self.operations))[0])

    def _after(self, numbers: set[int]) -> Disk:
        disk = self.before.copy()
        disk.folders |= {inode: {} for inode in self._now.folders if inode not in disk.folders}
        for number in sorted(numbers):
            disk.apply(self.operations[number])
        return disk

    def _split(self, end: int) -> tuple[set[int], list[int]]:
        """Numbers of the operations before `end` that last, and of those that may be lost."""
        last_flush = {op.inode: number for number, op in enumerate(self.operations[:end]) if isinstance(op, Flush)}
        flushed, pending = set(), []
        for number, operation in enumerate(self.operations[:end]):
            match operation:
                case Names(changes):
                    inodes = [folder for folder, _ in changes]
                case Write(file):
                    inodes = [file]
                case Flush():
                    continue
            if all(last_flush.get(inode, -1) > number for inode in inodes):
                flushed.add(number)
            else:
                pending.append(number)
        return flushed, pending

    def _scan(self) -> Disk:
        disk = Disk(self._path.stat().st_ino)
        pending = [self._path]
        while pending:
            folder = pending.pop()
            names = disk.folders.setdefault(folder.stat().st_ino, {})
            for entry in os.scandir(folder):
                status = entry.stat(follow_symlinks=False)
                names[entry.name] = status.st_ino
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    stamp = (status.st_size, status.st_mtime_ns)
                    if self._seen.get(status.st_ino, (None,))[0] != stamp:
                        self._seen[status.st_ino] = stamp, Path(entry.path).read_bytes()
                    disk.files[status.st_ino] = self._seen[status.st_ino][1]
        return disk


@contextmanager
def recording(root: Path) -> Iterator[Recording]:
    """Record what the block does below `root`: each file is looked at before the next is opened, and at each call."""
    record, active = Recording(root), [True]

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            record.look()
            try:
                return call(*arguments, **options)
            finally:
                record.look(one_step=True)

        return watched

    def flush(handle: int) -> None:
        record.flush(handle)
        fsync(handle)

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if active[0] and event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(str(root)):
            active[0] = False  # a look opens files, too
            record.look()
            active[0] = True

    fsync = os.fsync
    with pytest.MonkeyPatch.context() as patch:
        for name in RENAMES:
            patch.setattr(os, name, around(getattr(os, name)))
        patch.setattr(renames, "_renameat2", around(renames._renameat2))
        patch.setattr(os, "fsync", flush)
        sys.addaudithook(opened)  # for good: it is only switched off
        try:
            yield record
        finally:
            active[0] = False
            record.look()
