"""Access the folder of a source, on this machine or elsewhere, through one interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from lungfish.core.errors import PhotosError
from lungfish.core.files import NotRegularError, open_regular
from lungfish.core.names import printable
from lungfish.data.photos import Photo
from lungfish.data.sources.assembly import Listing
from lungfish.data.sources.files import FileReader
from lungfish.data.sources.tree import LINK_OUT, Tree, points_outside, read_tree, unreadable_folder


class Directory(Protocol):
    """A folder of files. Names are relative to it, with slashes. Picklable."""

    def tree(self) -> Tree:
        """Return all files. Raises `LungfishError`."""
        ...

    def subdirectory(self, folder: str) -> Directory:
        """Return a folder inside this one."""
        ...

    def shown(self, name: str = "") -> str:
        """Return the full name of a file, for messages."""
        ...

    def open(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a seekable file. Raises `LungfishError`, also if reading fails."""
        ...

    def stamp(self, name: str) -> str:
        """Return a text that changes if the file changes. Raises `LungfishError`."""
        ...

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, fewer if the file ends earlier. Raises `LungfishError`."""
        ...

    def reader(self, listing: Listing) -> Callable[[Photo], bytes]:
        """Return a reader of photos in separate files. May number the rows of `listing` and add warnings."""
        ...


@dataclass(frozen=True)
class LocalDirectory:
    """A folder on this machine.

    Args:
        root: Path of the folder; may be a link.
        follow_links: Whether to follow links that lead outside it.
    """

    root: Path
    follow_links: bool = False

    def check_links(self, names: list[str]) -> None:
        """Raise `PhotosError` if a name is a link that leads outside the folder and may not be followed."""
        for name in names:
            if not self.follow_links and points_outside(self.root / name, os.path.realpath(self.root)):
                raise PhotosError(f"{self.shown(name)} is {LINK_OUT}", "Add --follow-links to read it.")

    def tree(self) -> Tree:
        return read_tree(self.root, follow_links=self.follow_links)

    def subdirectory(self, folder: str) -> LocalDirectory:
        return replace(self, root=self.root / folder)

    def shown(self, name: str = "") -> str:
        return printable(str(self.root / name))

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with _explained(self.root / name), open_regular(self.root / name) as file:
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

    def reader(self, listing: Listing) -> Callable[[Photo], bytes]:  # noqa: ARG002  local files need no numbers
        return FileReader(self.root)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise PhotosError(f"no such file: {printable(str(path))}", "Check the spelling.") from error
    except NotRegularError as error:
        raise PhotosError(
            f"{printable(str(path))} is {error}", "Save its output to a file and pass that file."
        ) from None
    except OSError as error:
        raise unreadable_folder(path, error) from error
