"""Hashes of bytes, files and values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

PIECE_BYTES = 1 << 20


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path], kind: str = "sha256") -> str:
    """Return the hash of the concatenated files, in hexadecimal.

    Args:
        paths: The files, in order.
        kind: Name of the hash for `hashlib`; MD5 where nothing better was published.
    """
    digest = hashlib.new(kind, usedforsecurity=False)
    for path in paths:
        with path.open("rb") as file:
            while data := file.read(PIECE_BYTES):
                digest.update(data)
    return digest.hexdigest()


def sha256_json(value: object) -> str:
    """Return the SHA-256 of a JSON value in canonical form (sorted keys, no spaces)."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
