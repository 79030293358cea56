"""A disk that fails: one operation on a file below given folders raises EIO, as the system does."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CALLS = ("mkdir", "rename", "replace", "unlink", "rmdir", "scandir", "stat", "lstat", "utime", "fsync", "chmod")
METHODS = ("read", "readinto", "readline", "readlines", "write", "flush", "truncate", "seek", "close")
Site = tuple[str, str, int]  # what is called, and the line of Lungfish that calls it


class Failing:
    """Operations below `folders`; the first one at the site called `fails` raises.

    Args:
        folders: whose files are watched.
        fails: None only notes which sites there are.
    """

    def __init__(self, folders: tuple[Path, ...], fails: Site | None = None) -> None:
        self.sites: dict[Site, int] = {}
        self._folders, self._fails = tuple(map(str, folders)), fails

    def at(self, call: str, path: object, *, named: bool) -> None:
        """Raise if it is the one. Errors of reading and writing name no file."""
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not name.startswith(self._folders):
            return
        site = (call, *_line())
        if not site[1]:
            return
        self.sites[site] = self.sites.get(site, 0) + 1
        if site == self._fails and self.sites[site] == 1:
            raise OSError(errno.EIO, "Input/output error", name) if named else OSError(errno.EIO, "Input/output error")


def _line() -> tuple[str, int]:
    frame = sys._getframe(2)
    while frame:
        file = frame.f_code.co_filename
        if "/src/lungfish/" in file:
            return file.rpartition("/src/lungfish/")[2], frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return "", 0


@contextmanager
def failing(folders: tuple[Path, ...], fails: Site | None = None) -> Iterator[Failing]:
    """Let one operation of the block fail."""
    disk = Failing(folders, fails)
    opened: dict[int, str] = {}

    def call(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any, **options: Any) -> Any:
            first = arguments[0] if arguments else "."
            disk.at(name, opened.get(first) if isinstance(first, int) else first, named=not isinstance(first, int))
            return real(*arguments, **options)

        return checked

    def open_file(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        disk.at("open", path, named=True)
        file = real_open(path, mode, *arguments, **options)
        if isinstance(path, int) or not str(path).startswith(disk._folders):
            return file
        opened[file.fileno()] = os.fsdecode(path)
        return _File(file, os.fsdecode(path), disk)

    real_open = builtins.open
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, call(name, getattr(os, name)))
        patch.setattr(builtins, "open", open_file)
        patch.setattr(io, "open", open_file)
        yield disk


class _File:
    def __init__(self, file: Any, path: str, disk: Failing) -> None:
        self._file, self._path, self._disk = file, path, disk

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._file, name)
        if name not in METHODS:
            return value

        def checked(*arguments: Any, **options: Any) -> Any:
            self._disk.at(name, self._path, named=False)
            return value(*arguments, **options)

        return checked

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)
