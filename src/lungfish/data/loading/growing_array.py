"""An array on disk that is filled from its first row to its last, and can be continued after a kill.

It is an `.npy` file, allocated in full before the first row is written. A record next to it identifies the array and
counts its rows; rows reach the disk before the record that counts them.
"""

from __future__ import annotations

import errno
import io
import json
import math
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lungfish.core.durable import flush
from lungfish.core.files import storage_errors, write_atomic
from lungfish.core.folders import make_folder


class GrowingArray:
    """An array on disk with one writer at a time, which the caller must ensure. Replaces another array in its folder.

    Args:
        folder: Folder of this array only; created if missing.
        key: Identity of the contents.
        shape: Shape of the whole array.
        dtype: Type of the elements.

    Attributes:
        exists: Whether the file is allocated in full and belongs to this array.
        done: Number of rows on disk.
    """

    def __init__(self, folder: Path, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.folder, self.key, self.shape, self.dtype = folder, key, shape, np.dtype(dtype)
        self._path, self._record_path = folder / "array.npy", folder / "record.json"
        self._header = _header(shape, self.dtype)
        self._row_bytes = self.dtype.itemsize * math.prod(shape[1:])
        self._bytes = len(self._header) + shape[0] * self._row_bytes
        done = self._recorded() if self._is_file_sound() else None
        self.exists, self.done = done is not None, done or 0
        self._written = self.done

    def create(self) -> None:
        """Allocate the file in full.

        Raises:
            StorageError: The disk is full or read-only, or access is denied.
        """
        with storage_errors(self._path):
            make_folder(self.folder)
            for old in (self._record_path, self._path):  # processes that have an old file mapped are not affected
                old.unlink(missing_ok=True)
            try:
                with self._path.open("xb") as file:
                    _allocate(file, self._bytes)
                    file.write(self._header)
            except OSError:
                self._path.unlink(missing_ok=True)
                raise
        self._record(0)
        self.exists, self._written = True, 0

    def append(self, rows: NDArray[Any]) -> None:
        """Write the next rows, `[n, *shape[1:]]`; they count once they are flushed. Raises `StorageError`."""
        if rows.dtype != self.dtype or rows.shape[1:] != self.shape[1:]:
            raise ValueError(f"rows are {rows.dtype} {rows.shape[1:]}, not {self.dtype} {self.shape[1:]}")
        with storage_errors(self._path), self._path.open("r+b") as file:
            file.seek(len(self._header) + self._written * self._row_bytes)
            file.write(np.ascontiguousarray(rows).data)
        self._written += len(rows)

    def flush(self) -> None:
        """Flush appended rows to the disk, then record them. Raises `StorageError`."""
        with storage_errors(self._path), self._path.open("r+b") as file:
            flush(file.fileno())
        self._record(self._written)

    def read(self) -> tuple[mmap.mmap, NDArray[Any]]:
        """Return the mapping of the file, and a read-only array on it. Raises `StorageError`."""
        with storage_errors(self._path), self._path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return mapped, np.ndarray(self.shape, self.dtype, mapped, len(self._header))

    def _is_file_sound(self) -> bool:
        try:
            with self._path.open("rb") as file:
                return os.fstat(file.fileno()).st_size == self._bytes and file.read(len(self._header)) == self._header
        except OSError:
            return False

    def _recorded(self) -> int | None:
        """Return the number of rows; None without an intact record of this array."""
        try:
            record = json.loads(self._record_path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        match record:
            case {"key": self.key, "done": int(done)} if 0 <= done <= self.shape[0]:
                return done
        return None

    def _record(self, done: int) -> None:
        write_atomic(self._record_path, json.dumps({"key": self.key, "done": done}))
        self.done = done


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    buffer = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _allocate(file: BinaryIO, count: int) -> None:
    """Set the length of an empty file; on Linux, also reserve the disk space, so that it cannot run out later."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, count)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not supported by some file systems
                raise
        else:
            return
    file.truncate(count)
