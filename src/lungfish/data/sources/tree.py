"""List all files in a folder: enter every real folder once, and leave out junk."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lungfish.core.errors import StorageError
from lungfish.core.names import plural, printable
from lungfish.data.photos import SkippedFile
from lungfish.runtime.decode import EXTRA_SUFFIXES, SUFFIXES

PHOTO_SUFFIXES = SUFFIXES | EXTRA_SUFFIXES
LINK_OUT = "a link that leads outside the folder"
SHOWN = 5  # links in a message
JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "@eadir"})
# Common files next to photos, ignored silently. Files with other suffixes are skipped and reported.
COMPANION_SUFFIXES = frozenset(
    {".txt", ".md", ".rst", ".json", ".jsonl", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".log"}
    | {
        ".html",
        ".htm",
        ".url",
        ".lnk",
        ".pdf",
        ".doc",
        ".docx",
        ".xls",
        ".xlsx",
        ".py",
        ".ipynb",
        ".zip",
        ".tar",
        ".gz",
    }
    | {".parquet", ".npy", ".npz", ".pkl", ".db"}
)


@dataclass(frozen=True)
class Tree:
    """Relative POSIX names in a folder, sorted.

    Args:
        files: All files except junk and hidden ones.
        folders: All folders entered.
        skipped: Links that are broken, circular or lead outside the folder, and entries that are not files.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    skipped: tuple[SkippedFile, ...]

    @property
    def links_out(self) -> list[str]:
        """Links that were not followed because they lead outside the folder."""
        return [each.file for each in self.skipped if each.reason == LINK_OUT]

    def about_links(self) -> str:
        """Return a message about `links_out`; empty if there are none."""
        if not (links := self.links_out):
            return ""
        shown = [*map(printable, links[:SHOWN]), *(["..."] if len(links) > SHOWN else [])]
        skipped = plural(len(links), "link that leads", "links that lead")
        what = "it" if len(links) == 1 else "them"
        return f"skipped {skipped} outside the folder: {', '.join(shown)} (add --follow-links to read {what})"

    @property
    def photos(self) -> list[str]:
        """Files with the suffix of a picture."""
        return [name for name in self.files if suffix_of(name) in PHOTO_SUFFIXES]


def read_tree(root: Path, *, follow_links: bool = False) -> Tree:
    """List the files in `root`, which may be a link itself.

    Real folders come before links to folders, and none is entered twice, so that circular links do no harm and no photo
    counts twice because of a linked folder.

    Args:
        root: Folder to list.
        follow_links: Whether to follow links that lead outside it.

    Raises:
        StorageError: A folder cannot be read; the message names it.
    """
    files: list[str] = []
    folders: list[str] = []
    skipped: list[SkippedFile] = []
    entered: set[tuple[int, int]] = set()
    pending = deque([("", Path(root))])
    real_root = os.path.realpath(root)
    while pending:
        prefix, folder = pending.popleft()
        identity = _identity(folder)
        if identity in entered:
            skipped.append(SkippedFile(prefix.rstrip("/"), "a link to a folder that is already read"))
            continue
        entered.add(identity)
        folders.append(prefix.rstrip("/"))
        for entry in _entries(folder):
            name = prefix + entry.name
            if is_junk(entry.name):
                continue
            kind = _kind(entry)
            if kind in ("folder", "file") and not follow_links and points_outside(entry, real_root):
                kind = LINK_OUT
            if kind == "folder":
                place = pending.append if entry.is_symlink() else pending.appendleft
                place((name + "/", Path(entry.path)))
            elif kind == "file":
                files.append(name)
            else:
                skipped.append(SkippedFile(name, kind))
    return Tree(tuple(sorted(files)), tuple(sorted(folders[1:])), tuple(sorted(skipped, key=lambda s: s.file)))


def is_junk(name: str) -> bool:
    """Return whether a file or folder of this name is hidden or made by an operating system."""
    return name.startswith(".") or name.casefold() in JUNK


def suffix_of(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def why_not_photo(name: str) -> str | None:
    """Return None if a file may be a photo by its suffix; else the reason, empty for common companions of photos."""
    suffix = suffix_of(name)
    if not suffix or suffix in PHOTO_SUFFIXES:
        return None
    return "" if suffix in COMPANION_SUFFIXES else f"{printable(suffix)} is not a supported picture format"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise unreadable_folder(folder, error) from error


def _kind(entry: os.DirEntry[str]) -> str:
    """Return `folder`, `file`, or why it is neither."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError as error:  # a link to itself
        return error.strerror or str(error)
    return "a link that leads nowhere" if entry.is_symlink() else "not a file"


def points_outside(entry: os.DirEntry[str] | Path, real_root: str) -> bool:
    """Return whether an entry is a link, or a junction on Windows, to something outside the root."""
    is_link = entry.is_symlink() or (os.name == "nt" and bool(getattr(os.lstat(entry), "st_reparse_tag", 0)))
    return is_link and not Path(os.path.realpath(entry)).is_relative_to(real_root)


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise unreadable_folder(folder, error) from error
    return status.st_dev, status.st_ino


def unreadable_folder(path: Path, error: OSError) -> StorageError:
    """Return the error for a folder or table that cannot be read."""
    reason = error.strerror or str(error)
    return StorageError(
        f"cannot read {printable(str(path))}: {reason}", "Change its permissions, or move it elsewhere."
    )
