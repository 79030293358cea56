"""Whether a file is the one that was published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lungfish.core.errors import WeightsError
from lungfish.core.hashing import files_digest
from lungfish.core.names import printable
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.checkpoint import files_of


def verify_checksum(entry: WeightsEntry, path: Path) -> WeightsEntry:
    """The entry with the hash and size of its file. What the entry knows of them must agree.

    Args:
        entry: `sha256`, `digest` and `bytes` are checked as far as they are known.
        path: the file, or the prefix of a TensorFlow checkpoint: its files count as one, the index first.

    Raises:
        WeightsError: it is another file, or cannot be read.
    """
    files = files_of(path)
    try:
        size = sum(file.stat().st_size for file in files)
        if entry.bytes not in (None, size):
            raise _another(entry, f"{size:,} bytes", f"{entry.bytes:,}")
        sha256 = files_digest(files)
        kind, _, digits = entry.digest.partition(":")
        found = files_digest(files, "md5") if kind == "md5" else sha256
    except OSError as error:
        raise WeightsError(f"cannot read the file of {printable(entry.name)}: {error.strerror}") from None
    if entry.sha256 not in ("", sha256):
        raise _another(entry, f"SHA-256 {sha256[:12]}...", f"{entry.sha256[:12]}...")
    if not found.startswith(digits):
        raise _another(entry, f"{kind} {found}", digits)
    return replace(entry, sha256=sha256, bytes=size)


def _another(entry: WeightsEntry, found: str, expected: str) -> WeightsError:
    return WeightsError(
        f"the file of {printable(entry.name)} has {found}, expected {expected}",
        "It was altered on the way or replaced at its source; it is not used.",
    )
