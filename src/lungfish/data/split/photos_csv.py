"""Read and write `photos.csv`, which lists the split of each photo and why; bundles contain it, `--split` reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lungfish.core.errors import UsageError
from lungfish.core.files import open_regular, write_atomic
from lungfish.core.names import printable
from lungfish.data.photos import SPLITS

# Largest file: 200 bytes for each of a million photos. In memory it takes about five times as much.
MAX_SPLIT_BYTES = 200 << 20
HEADER = ("sha256", "file", "label", "split", "reason")
# Spreadsheets execute cells that begin with one of the first six. Texts that begin with one of them, or with an
# apostrophe, are written with an apostrophe in front, which reading removes.
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")


@dataclass(frozen=True)
class SplitRow:
    """One line of `photos.csv`; hash and split are empty for a skipped file."""

    sha256: str
    file: str
    label: str
    split: str
    reason: str


@dataclass(frozen=True)
class SavedSplit:
    """An earlier assignment, looked up by content and name, else by content alone.

    Args:
        by_photo: Splits by content hash and name.
        by_content: Splits by content hash.
        is_automatic: Whether it was reused without being requested; a split given with the photos then wins.
    """

    by_photo: dict[tuple[str, str], str]
    by_content: dict[str, str]
    is_automatic: bool = False

    def split(self, sha256: str, name: str) -> str | None:
        """Return the split of a photo, or None if its content is new."""
        return self.by_photo.get((sha256, name)) or self.by_content.get(sha256)


def write_split(path: Path, rows: Iterable[SplitRow]) -> None:
    """Write `photos.csv`, sorted by file name. Undecodable bytes of file names are preserved.

    Raises:
        StorageError: `path` cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    for row in sorted(rows, key=lambda row: row.file):
        writer.writerow((row.sha256, *map(_disarmed, (row.file, row.label)), row.split, _disarmed(row.reason)))
    write_atomic(path, text.getvalue().encode("utf-8", "surrogateescape"))


def read_split(path: Path) -> list[SplitRow]:
    """Return the rows of a `photos.csv`.

    Raises:
        UsageError: The file does not exist, or is not a `photos.csv`.
    """
    hint = "Give the photos.csv of a bundle."
    try:
        with open_regular(path) as file:
            data = file.read(MAX_SPLIT_BYTES + 1)
        if len(data) > MAX_SPLIT_BYTES:
            raise UsageError(f"the split {printable(str(path))} has more than {MAX_SPLIT_BYTES:,} bytes", hint)
        text = data.decode("utf-8-sig", "surrogateescape")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise UsageError(f"cannot read the split {printable(str(path))}: {error.strerror or error}", hint) from error
    except csv.Error as error:
        raise UsageError(f"{printable(str(path))} is not a CSV: {error}", hint) from error
    if not lines or tuple(lines[0]) != HEADER:
        raise UsageError(f"{printable(str(path))} is not a saved split; line 1 must be {','.join(HEADER)}", hint)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(HEADER) or line[3] not in ("", *SPLITS):
            raise UsageError(f"{printable(str(path))}, line {number} is not a row of a saved split", hint)
        rows.append(SplitRow(line[0], _armed(line[1]), _armed(line[2]), line[3], _armed(line[4])))
    return rows


def saved_split(rows: Iterable[SplitRow], *, is_automatic: bool = False) -> SavedSplit:
    """Index an earlier assignment. A photo with a new name gets the split of the first row with the same content."""
    by_photo: dict[tuple[str, str], str] = {}
    by_content: dict[str, str] = {}
    for row in rows:
        if row.sha256 and row.split:
            by_photo[row.sha256, row.file] = row.split
            by_content.setdefault(row.sha256, row.split)
    return SavedSplit(by_photo, by_content, is_automatic)


def _disarmed(text: str) -> str:
    return f"'{text}" if text.startswith(DANGEROUS) else text


def _armed(text: str) -> str:
    return text.removeprefix("'")
