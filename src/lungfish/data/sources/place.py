"""Where a source's files lie: a folder of this machine, or one elsewhere that is reached in the same way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from lungfish.core.errors import PhotosError
from lungfish.core.names import printable
from lungfish.data.photos import Photo
from lungfish.data.sources.assembly import Listing
from lungfish.data.sources.files import FileReader
from lungfish.data.sources.tree import Tree, read_tree, unreadable_folder


class Place(Protocol):
    """A folder of files. Names are relative to it, with slashes. Can be pickled."""

    def tree(self) -> Tree:
        """All files. Raises `LungfishError`."""
        ...

    def below(self, folder: str) -> Place:
        """A folder inside."""
        ...

    def shown(self, name: str = "") -> str:
        """The whole name of a file, for messages."""
        ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file that can be read anywhere. Raises `LungfishError`, also if reading it fails."""
        ...

    def stamp(self, name: str) -> str:
        """A text that changes when the file does. Raises `LungfishError`."""
        ...

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop`, fewer if the file ends earlier. Raises `LungfishError`."""
        ...

    def reader(self, listing: Listing) -> Callable[[Photo], bytes]:
        """Reads photos that are files of their own; numbers the rows and warns, if need be."""
        ...


@dataclass(frozen=True)
class LocalPlace:
    """A folder of this machine."""

    root: Path

    def tree(self) -> Tree:
        return read_tree(self.root)

    def below(self, folder: str) -> LocalPlace:
        return LocalPlace(self.root / folder)

    def shown(self, name: str = "") -> str:
        return printable(str(self.root / name))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with _explained(self.root / name), (self.root / name).open("rb") as file:
            yield file

    def stamp(self, name: str) -> str:
        path = self.root / name
        with _explained(path):
            status = path.stat()
        return f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        with self.open(name) as file:
            file.seek(start)
            return file.read(stop - start)

    def reader(self, listing: Listing) -> Callable[[Photo], bytes]:  # noqa: ARG002  files need no numbers
        return FileReader(self.root)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise PhotosError(f"no such file: {printable(str(path))}", "Check the spelling.") from error
    except OSError as error:
        raise unreadable_folder(path, error) from error
