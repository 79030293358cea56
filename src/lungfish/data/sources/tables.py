"""Open a CSV or Parquet table that lists image files in its folder, with their labels."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TextIO

from lungfish.core.errors import PhotosError
from lungfish.core.names import printable
from lungfish.data.photos import PhotoSet, SkippedFile
from lungfish.data.sources.assembly import ListedPhoto, Listing, Texts, assemble, check_count, label_text, split_named
from lungfish.data.sources.directory import Directory, LocalDirectory
from lungfish.data.sources.image_parquet import read_columns
from lungfish.data.sources.tree import suffix_of

COLUMNS = ("image", "label", "split", "group")
MAX_CSV_BYTES = 256 << 20  # 50 bytes for each of `assembly.MAX_PHOTOS`
MAX_ROW_CHARACTERS = 1 << 20
TEMPLATE = "The first lines should look like this:\nimage,label\ncats/one.jpg,cat\ndogs/two.jpg,dog"


@dataclass(frozen=True)
class PhotoTable:
    """Columns of equal length; `split` and `group` may be absent."""

    name: str
    columns: dict[str, list[str]]
    first_line: int  # number of the first row, for messages


def open_table(directory: Directory, name: str) -> PhotoSet:
    """Return the photos that a table lists; paths are relative to its folder, or absolute paths below it.

    Raises:
        PhotosError: Columns or values are missing, a path leaves the folder, or a photo has two labels.
        StorageError: The table cannot be read.
        DownloadError: The table cannot be fetched.
    """
    table = _read_parquet(directory, name) if suffix_of(name) == ".parquet" else _read_csv(directory, name)
    listing = Listing()
    paths = _Paths(directory)
    seen: dict[str, str] = {}
    for i, (image, label) in enumerate(zip(table.columns["image"], table.columns["label"], strict=True)):
        photo = paths.relative(image, _where(table, i))
        if not label:
            raise PhotosError(f"{_where(table, i)}: no label", "Give every photo a label, or delete its row.")
        if photo in seen:
            if seen[photo] != label:
                both = f"{printable(seen[photo])!r} and {printable(label)!r}"
                raise PhotosError(f"{_where(table, i)}: {printable(photo)} is labelled {both}", "Keep one of the rows.")
            listing.skipped.append(SkippedFile(photo, "listed more than once"))
            continue
        seen[photo] = label
        if not paths.is_file(photo):
            listing.skipped.append(SkippedFile(photo, "no such file"))
            continue
        split = table.columns["split"][i] if "split" in table.columns else ""
        group = table.columns["group"][i] if "group" in table.columns else ""
        listing.rows.append(ListedPhoto(photo, label, split_named(split, _where(table, i)), group or None))
    if not listing.rows and listing.skipped:
        raise PhotosError(
            f"none of the {len(listing.skipped):,} photos in {printable(name)} exists, for instance"
            f" {printable(listing.skipped[0].file)}",
            f"Paths are relative to {directory.shown()}.",
        )
    return assemble(listing, directory.reader(listing))


def _where(table: PhotoTable, i: int) -> str:
    return f"{printable(table.name)}, row {i + table.first_line}"


class _Paths:
    """Paths of a table, which must stay in its folder. In a local table, links are resolved and files must exist."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.root = directory.root if isinstance(directory, LocalDirectory) else None
        self.real_root = self.root.resolve() if self.root else None
        self.follow_links = isinstance(directory, LocalDirectory) and directory.follow_links
        self.inside: dict[str, bool] = {}  # by folder: whether it is below the root

    def relative(self, image: str, where: str) -> str:
        """Return `image` as a normalized relative POSIX name."""
        subdirectory = self._below_root(image)
        posix = PurePosixPath(os.path.normpath(subdirectory).replace(os.sep, "/")) if subdirectory else PurePosixPath()
        if not posix.parts or "\0" in image:
            raise PhotosError(f"{where}: no image path", "Give every row a path.")
        hint = "Paths must stay under the table's folder; move the table or the photos"
        if posix.is_absolute() or is_anchored(subdirectory) or posix.parts[0] == "..":
            raise PhotosError(f"{where}: {printable(image)} is outside {self.directory.shown()}", f"{hint}.")
        if not self._holds(posix):
            raise PhotosError(
                f"{where}: {printable(image)} is outside {self.directory.shown()}: a link leads there",
                f"{hint}, or add --follow-links.",
            )
        return str(posix)

    def _below_root(self, image: str) -> str:
        """Return an absolute path below the root as a relative one; other paths unchanged."""
        for root in (self.root, self.real_root):
            if root and Path(image).is_relative_to(root.absolute()):
                return str(Path(image).relative_to(root.absolute()))
        return image

    def is_file(self, name: str) -> bool:
        try:
            return self.root is None or (self.root / name).is_file()
        except OSError:  # a name that is too long
            return False

    def _holds(self, posix: PurePosixPath) -> bool:
        if self.root is None or self.real_root is None or self.follow_links:
            return True
        folder = str(posix.parent)
        path = self.root / posix
        try:
            if folder not in self.inside:
                self.inside[folder] = path.parent.resolve().is_relative_to(self.real_root)
            return self.inside[folder] and (not path.is_symlink() or path.resolve().is_relative_to(self.real_root))
        except OSError:  # a name that is too long for a file to exist
            return True


def is_anchored(path: str, flavour: type[PurePath] = PurePath) -> bool:
    """Return whether a path begins with a root or a drive, such as Windows' drive-relative `D:x.jpg`."""
    return bool(flavour(path).anchor)


def _read_csv(directory: Directory, name: str) -> PhotoTable:
    with directory.open(name) as file:
        data = file.read(MAX_CSV_BYTES + 1)
    if len(data) > MAX_CSV_BYTES:
        raise PhotosError(f"{printable(name)} has more than the {MAX_CSV_BYTES:,} bytes allowed", "Save it as Parquet.")
    try:
        return _parse_csv(name, data)
    except UnicodeDecodeError as error:
        raise PhotosError(
            f"{printable(name)} is not UTF-8 (byte {_bad_byte(data)})", "Save it as 'CSV UTF-8'."
        ) from error
    except csv.Error as error:
        raise PhotosError(f"{printable(name)} is not a CSV: {error}", TEMPLATE) from error


def _parse_csv(name: str, data: bytes) -> PhotoTable:
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    header = text.readline(MAX_ROW_CHARACTERS)
    delimiter = max(",;\t", key=header.count)  # spreadsheets in many countries write semicolons
    text.seek(0)
    lines = _Lines(text)
    rows = (row for row in csv.reader(lines, delimiter=delimiter) if row)
    names = [column.strip().lower() for column in next(rows, [])]
    _check_columns(name, names)
    at = {column: names.index(column) for column in COLUMNS if column in names}
    columns: dict[str, list[str]] = {column: [] for column in at}
    texts = Texts(printable(name))
    for i, row in enumerate(rows, start=2):
        lines.begin_row()
        if len(row) != len(names):
            raise PhotosError(f"{printable(name)}, row {i}: {len(row)} values for {len(names)} columns", TEMPLATE)
        check_count(i - 1, printable(name))
        for column, k in at.items():
            columns[column].append(texts.once(row[k].strip()))
    return PhotoTable(name, columns, first_line=2)


class _Lines:
    """The lines of a CSV, with a limit on the length of a row, because a row is held in memory as a whole."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.begin_row()

    def begin_row(self) -> None:
        self._left = MAX_ROW_CHARACTERS

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise csv.Error(f"a row has more than the {MAX_ROW_CHARACTERS:,} characters allowed")
        if not line:
            raise StopIteration
        return line


def _bad_byte(data: bytes) -> int:
    """Return the position of the first byte that is not UTF-8."""
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start
    return len(data)


def _read_parquet(directory: Directory, name: str) -> PhotoTable:
    columns = read_columns(directory, name, COLUMNS)
    _check_columns(name, list(columns))
    text = {column: [label_text(value) for value in values] for column, values in columns.items()}
    return PhotoTable(name, text, first_line=1)


def _check_columns(table: str, names: Sequence[str]) -> None:
    missing = [name for name in ("image", "label") if name not in names]
    if missing:
        got = ", ".join(map(printable, names)) or "none"
        raise PhotosError(
            f"{printable(table)} has no column {' and no column '.join(missing)} (it has: {got})", TEMPLATE
        )
