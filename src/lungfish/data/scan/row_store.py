"""Store rows of one numpy type on disk, keyed by the content they were computed from.

A store is a folder of chunk files. A chunk is an `.npy` array named after the SHA-256 of its bytes: a damaged chunk is
detected and deleted, and its rows are computed again. Chunks are never changed, only added and merged; any number of
processes may do so at once.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lungfish.core.errors import StorageError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_bytes, sha256_file

# Small chunks are merged once there are this many; a merged chunk is soon too large to be merged again.
MERGE_AT = 64
LARGE_BYTES = 32 << 20
_CHUNK = re.compile(r"[0-9a-f]{64}\.npy")


class RowStore:
    """A mapping from SHA-256 (hexadecimal) to one row, stored in `folder`. Thread-safe.

    Args:
        folder: Folder of the store; created when the first rows are flushed.
        dtype: Type of one row, possibly structured.
    """

    def __init__(self, folder: Path, dtype: DTypeLike) -> None:
        self.folder = folder
        self._dtype = np.dtype([("sha256", "u1", (32,)), ("row", np.dtype(dtype))])
        self._chunks: list[NDArray[np.void]] = []
        self._places: dict[bytes, tuple[int, int]] = {}  # content to chunk and position
        self._pending: dict[bytes, object] = {}
        self._writable = True
        self._lock = threading.Lock()  # protects pending rows; the rest does not change after loading
        self._load()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, sha256: str) -> NDArray[np.void] | None:
        """Return the read-only row stored for a hash, or None."""
        place = self._places.get(bytes.fromhex(sha256))
        return None if place is None else self._chunks[place[0]][place[1]]["row"]

    def add(self, sha256: str, row: object) -> None:
        """Keep a row for the next `flush`. Does nothing after a failed one."""
        key = bytes.fromhex(sha256)
        if self._writable and key not in self._places:
            with self._lock:
                self._pending[key] = row

    def flush(self) -> None:
        """Write the rows added since the last flush as one chunk, and merge small chunks if there are many.

        Raises:
            StorageError: The disk is full or read-only, or access is denied. These rows and all later ones are dropped,
                to save memory.
        """
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending or not self._writable:  # rows may be added while a flush fails
            return
        rows = np.empty(len(pending), self._dtype)
        rows["sha256"] = np.frombuffer(b"".join(pending), np.uint8).reshape(-1, 32)
        for i, row in enumerate(pending.values()):
            rows["row"][i] = row
        try:
            self._write(rows)
            self._merge()
        except StorageError:
            self._writable = False
            raise

    def _load(self) -> None:
        for file in self._files():
            rows = self._read(file)
            if rows is not None:
                self._index(rows)
        with contextlib.suppress(OSError):
            os.utime(self.folder)  # the least recently used folders are pruned first

    def _files(self) -> list[Path]:
        with contextlib.suppress(OSError):  # access to a parent folder may be denied
            return sorted(file for file in self.folder.glob("*.npy") if _CHUNK.fullmatch(file.name))
        return []

    def _read(self, file: Path) -> NDArray[np.void] | None:
        try:
            if sha256_file(file) == file.stem:
                rows: NDArray[np.void] = np.load(file, mmap_mode="r", allow_pickle=False)
                if rows.dtype == self._dtype and rows.ndim == 1:
                    return rows
        except (OSError, ValueError):
            return None  # just merged by another process: at worst its rows are computed again
        _unlink(file)
        return None

    def _index(self, rows: NDArray[np.void]) -> None:
        number = len(self._chunks)
        self._chunks.append(rows)
        keys = np.ascontiguousarray(rows["sha256"]).tobytes()
        for i in range(len(rows)):
            self._places.setdefault(keys[32 * i : 32 * i + 32], (number, i))

    def _write(self, rows: NDArray[np.void]) -> Path:
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        data = buffer.getvalue()
        path = self.folder / f"{sha256_bytes(data)}.npy"
        write_atomic(path, data)
        return path

    def _merge(self) -> None:
        small = [file for file in self._files() if _bytes(file) < LARGE_BYTES]
        if len(small) < MERGE_AT:
            return
        chunks = [rows for file in small if (rows := self._read(file)) is not None]
        if not chunks:  # another process has just merged them
            return
        rows = np.concatenate(chunks)
        _, first = np.unique(rows["sha256"], axis=0, return_index=True)
        merged = self._write(rows[np.sort(first)])
        for file in small:
            if file != merged:
                _unlink(file)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # merged by another process
        return LARGE_BYTES


def _unlink(file: Path) -> None:
    with contextlib.suppress(OSError):  # Windows, if another process reads it: rows are duplicated, not lost
        file.unlink()
