"""An array on disk that is filled from its first row to its last, and gone on with after a kill.

It is an `.npy` file whose whole length is taken from the disk before the first row is written. A record beside it says
which array it is and how many rows there are; rows reach the disk before the record that counts them.
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
    """One writer at a time: the caller sees to that. What lies in the folder and is not this array makes way for it.

    Args:
        folder: of this array alone; need not exist.
        key: says what the array holds.
        shape: of the whole array.
        dtype: of its elements.

    Attributes:
        exists: whether the file is there in its whole length, and is this array's.
        done: rows that are on disk.
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
        """Take the whole length from the disk.

        Raises:
            StorageError: disk full, read-only or forbidden.
        """
        with storage_errors(self._path):
            make_folder(self.folder)
            for old in (self._record_path, self._path):  # whoever has an old file mapped keeps what it sees
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
        """Bring what was appended to the disk, and only then record it. Raises `StorageError`."""
        with storage_errors(self._path), self._path.open("r+b") as file:
            flush(file.fileno())
        self._record(self._written)

    def read(self) -> tuple[mmap.mmap, NDArray[Any]]:
        """The file's mapping, and the array, read-only, that looks into it. Raises `StorageError`."""
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
        """How many rows there are; None without a sound record of this array."""
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
    """Give an empty file its length; on Linux also the disk space, so that it cannot run out later."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, count)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # what some file systems answer
                raise
        else:
            return
    file.truncate(count)
