"""Verify that a file is the published one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lungfish.core.errors import WeightsError
from lungfish.core.hashing import files_digest
from lungfish.core.names import printable
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.formats.checkpoint import files_of


def verify_checksum(entry: WeightsEntry, path: Path) -> WeightsEntry:
    """Return the entry with the hash and size of its file, after comparing them with the published ones.

    Args:
        entry: Weights whose `sha256`, `digest` and `bytes` are checked where they are known.
        path: The file, or the prefix of a TensorFlow checkpoint, whose files are hashed as one, index first.

    Raises:
        WeightsError: The file differs from the published one, or cannot be read.
    """
    files = files_of(path)
    try:
        size = sum(file.stat().st_size for file in files)
        if entry.bytes not in (None, size):
            raise _mismatch(entry, f"{size:,} bytes", f"{entry.bytes:,}")
        sha256 = files_digest(files)
        kind, _, digits = entry.digest.partition(":")
        found = files_digest(files, "md5") if kind == "md5" else sha256
    except OSError as error:
        raise WeightsError(f"cannot read the file of {printable(entry.name)}: {error.strerror}") from None
    if entry.sha256 not in ("", sha256):
        raise _mismatch(entry, f"SHA-256 {sha256[:12]}...", f"{entry.sha256[:12]}...")
    if not found.startswith(digits):
        raise _mismatch(entry, f"{kind} {found}", digits)
    return replace(entry, sha256=sha256, bytes=size)


def _mismatch(entry: WeightsEntry, found: str, expected: str) -> WeightsError:
    return WeightsError(
        f"the file of {printable(entry.name)} has {found}, expected {expected}",
        "It was altered in transit or replaced at its source, and is not used.",
    )
