from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from lungfish.core.errors import StorageError
from lungfish.data.scan import row_store
from lungfish.data.scan.row_store import RowStore

ROW = np.dtype(("<f4", (4,)))


def key(number):
    return f"{number:064x}"


def fill(folder, start, stop):
    store = RowStore(folder, ROW)
    for i in range(start, stop):
        store.add(key(i), np.full(4, i, np.float32))
        store.flush()


def stored(folder):
    store = RowStore(folder, ROW)
    return {i: store.get(key(i)) for i in range(200) if store.get(key(i)) is not None}


def test_rows_come_back_bit_for_bit(tmp_path):
    values = np.array([0.1, -0.0, np.nan, 3e38], np.float32)
    store = RowStore(tmp_path / "s", ROW)
    store.add(key(1), values)
    assert store.get(key(1)) is None
    store.flush()
    again = RowStore(tmp_path / "s", ROW)
    assert len(again) == 1
    assert again.get(key(1)).tobytes() == values.tobytes()
    assert again.get(key(2)) is None


def test_nothing_is_written_for_nothing(tmp_path):
    RowStore(tmp_path / "s", ROW).flush()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_chunk_is_dropped_alone(tmp_path, damage):
    fill(tmp_path, 0, 3)
    file = min(tmp_path.glob("*.npy"))
    data = file.read_bytes()
    file.write_bytes({"cut": data[:-1], "flip": data[:-1] + b"\xff", "empty": b""}[damage])
    assert len(stored(tmp_path)) == 2
    assert not file.exists()
    fill(tmp_path, 0, 3)
    assert len(stored(tmp_path)) == 3


def test_rows_of_another_type_are_no_rows(tmp_path):
    fill(tmp_path, 0, 3)
    assert len(RowStore(tmp_path, np.dtype("<f8"))) == 0


def test_small_chunks_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "MERGE_AT", 5)
    fill(tmp_path, 0, 23)
    assert len(list(tmp_path.glob("*.npy"))) < 5
    assert {i: row[0] for i, row in stored(tmp_path).items()} == {i: i for i in range(23)}


def test_large_chunks_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "MERGE_AT", 3)
    monkeypatch.setattr(row_store, "LARGE_BYTES", 100)
    fill(tmp_path, 0, 8)
    assert len(list(tmp_path.glob("*.npy"))) == 8


WRITER = """
import sys
from pathlib import Path
import numpy as np
from lungfish.data.scan import row_store
row_store.MERGE_AT = 8
store = row_store.RowStore(Path(sys.argv[1]), np.dtype(("<f4", (4,))))
for i in range(int(sys.argv[2]), int(sys.argv[3])):
    store.add(f"{i:064x}", np.full(4, i, np.float32))
    store.flush()
"""


def test_two_processes_write_and_merge_at_once(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(start), str(start + 100)]) for start in (0, 70)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert {i: row[0] for i, row in stored(tmp_path).items()} == {i: i for i in range(170)}


def test_another_process_merges_all_files_first(tmp_path, monkeypatch):
    monkeypatch.setattr(row_store, "MERGE_AT", 3)
    store = RowStore(tmp_path, ROW)
    monkeypatch.setattr(store, "_read", lambda _: None)  # listed, and gone by the time they are read
    for i in range(3):
        store.add(key(i), np.zeros(4, np.float32))
        store.flush()
    assert len(stored(tmp_path)) == 3


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = RowStore(tmp_path / "file" / "s", ROW)
    store.add(key(1), np.zeros(4, np.float32))
    with pytest.raises(StorageError):
        store.flush()
    store.flush()  # given up: nothing is pending


def test_rows_added_while_a_flush_fails_do_not_make_another_fail(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    store = RowStore(tmp_path / "file" / "folder", ROW)
    write = store._write

    def slow(rows):
        store.add(key(2), np.zeros(4, np.float32))  # by another thread
        return write(rows)

    monkeypatch.setattr(store, "_write", slow)
    store.add(key(1), np.zeros(4, np.float32))
    with pytest.raises(StorageError):
        store.flush()
    store.flush()
