from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest

from lungfish.core.errors import StorageError
from lungfish.data.loading.growing_array import GrowingArray

SHAPE = (6, 2, 3)
ROWS = np.arange(36, dtype="<f2").reshape(SHAPE)


def open_array(folder, key="k", shape=SHAPE, dtype="<f2"):
    return GrowingArray(folder, key, shape, dtype)


@pytest.fixture
def folder(tmp_path):
    """An array with four of its six rows."""
    array = open_array(tmp_path / "a")
    assert not array.exists
    array.create()
    array.append(ROWS[:3])
    array.append(ROWS[3:4])
    array.flush()
    return tmp_path / "a"


def test_another_process_goes_on(folder):
    array = open_array(folder)
    assert (array.exists, array.done) == (True, 4)
    array.append(ROWS[4:])
    assert array.done == 4
    array.flush()
    assert array.done == 6
    np.testing.assert_array_equal(open_array(folder).read()[1], ROWS)
    np.testing.assert_array_equal(np.load(folder / "array.npy"), ROWS)  # a plain .npy file


def test_what_was_not_flushed_does_not_count(folder):
    array = open_array(folder)
    array.append(ROWS[4:])
    assert open_array(folder).done == 4


def test_it_is_read_only(folder):
    with pytest.raises(ValueError, match="read-only"):
        open_array(folder).read()[1][0] = 1


@pytest.mark.parametrize("other", [{"key": "other"}, {"shape": (6, 3, 2)}, {"shape": (7, 2, 3)}, {"dtype": "<i2"}])
def test_another_array_is_not_taken_for_this_one(folder, other):
    array = open_array(folder, **other)
    assert (array.exists, array.done) == (False, 0)


@pytest.mark.parametrize("damage", ["cut", "longer", "header", "no array", "no record", "torn record", "a lie", "list"])
def test_a_torn_or_foreign_file_is_made_anew(folder, damage):
    file, record = folder / "array.npy", folder / "record.json"
    data = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(data[:-1])
        case "longer":
            file.write_bytes(data + b"\0")
        case "header":
            file.write_bytes(b"\0" + data[1:])
        case "no array":
            file.unlink()
        case "no record":
            record.unlink()
        case "torn record":
            record.write_text(record.read_text()[:-3])
        case "a lie":
            record.write_text(json.dumps({"key": "k", "done": 7}))
        case "list":
            record.write_text("[]")
    array = open_array(folder)
    assert (array.exists, array.done) == (False, 0)
    array.create()
    assert (array.exists, array.done, open_array(folder).exists) == (True, 0, True)
    array.append(ROWS)
    array.flush()
    np.testing.assert_array_equal(open_array(folder).read()[1], ROWS)


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no file that is mapped")
def test_a_new_array_leaves_alone_who_reads_the_old_one(folder):
    _, old = open_array(folder).read()
    open_array(folder, "other").create()
    np.testing.assert_array_equal(old[:4], ROWS[:4])


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="takes the space when it is written to")
def test_the_space_is_taken_at_once(tmp_path, monkeypatch):
    array = open_array(tmp_path / "a", shape=(1000, 1000))
    array.create()
    assert (tmp_path / "a" / "array.npy").stat().st_blocks * 512 >= 2_000_000

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="no space left"):
        open_array(tmp_path / "b").create()
    assert not (tmp_path / "b" / "array.npy").exists()


def test_where_space_cannot_be_taken_the_length_is(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    array = open_array(tmp_path / "a")
    array.create()
    array.append(ROWS)
    array.flush()
    np.testing.assert_array_equal(open_array(tmp_path / "a").read()[1], ROWS)


def test_rows_of_another_kind_are_refused(folder):
    for rows in (ROWS.astype("<f4"), ROWS[:, :1]):
        with pytest.raises(ValueError, match=r"rows are .*, not float16 \(2, 3\)"):
            open_array(folder).append(rows)


def test_a_folder_that_vanishes_is_said(folder):
    array = open_array(folder)
    (folder / "array.npy").unlink()
    for action in (lambda: array.append(ROWS[4:]), array.flush, array.read):
        with pytest.raises(StorageError, match="No such file"):
            action()


def test_no_rows_at_all(tmp_path):
    array = open_array(tmp_path / "a", shape=(0, 2))
    array.create()
    assert open_array(tmp_path / "a", shape=(0, 2)).exists
    assert array.read()[1].shape == (0, 2)
