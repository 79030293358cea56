from __future__ import annotations

import os
import shutil
import sys

import pytest

from lungfish.core.errors import StorageError
from lungfish.data.space import USERS, bytes_available, folder_lock, in_use, make_room, touch

OLD, MIDDLE, NEW = "photos/old", "activations/middle", "photos/new"


def put(folder, megabytes, age):
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(bytes(megabytes * 1_000_000))
    os.utime(folder, (1_000_000 - age, 1_000_000 - age))


@pytest.fixture(autouse=True)
def things(cache, monkeypatch):
    """Three folders of a megabyte each, and four megabytes for all."""
    for age, name in enumerate((NEW, MIDDLE, OLD)):
        put(cache / name, 1, age)
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.004")


@pytest.fixture
def mine(cache):
    return cache / "activations" / "mine"


def left(cache):
    return [name for name in (OLD, MIDDLE, NEW) if (cache / name).exists()]


def test_what_is_available(cache, mine, monkeypatch):
    assert bytes_available(mine) == 4_000_000
    assert bytes_available(cache / "not" / "yet") == 4_000_000
    assert bytes_available(cache / NEW) == 4_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 500_000, 500_000))
    assert bytes_available(mine) == 3_500_000  # what the disk has, and what older folders can give


@pytest.mark.parametrize(
    ("needed", "expected"),
    [(1_000_000, [OLD, MIDDLE, NEW]), (1_000_001, [MIDDLE, NEW]), (3_000_000, [NEW]), (4_000_000, [])],
)
def test_the_least_recently_used_make_room_whatever_they_are(cache, mine, needed, expected):
    make_room(mine, needed)
    assert left(cache) == expected


def test_what_is_used_now_is_not_the_oldest(cache, mine):
    touch(cache / OLD)
    make_room(mine, 2_000_000)
    assert left(cache) == [OLD, NEW]
    touch(cache / "gone")


def test_files_go_like_folders(cache, mine):
    index = cache / "shards" / "key.json"
    index.parent.mkdir()
    index.write_bytes(bytes(1_000_000))
    os.utime(index, (1, 1))
    make_room(mine, 1_000_000)
    assert not index.exists()
    assert left(cache) == [OLD, MIDDLE, NEW]


def test_what_another_writes_stays(cache, mine):
    with folder_lock(cache / OLD, lambda: pytest.fail("nobody holds it")):
        assert bytes_available(mine) == 3_000_000
        make_room(mine, 3_000_000)
    assert left(cache) == [OLD]


def test_what_anybody_uses_stays(cache, mine):
    first, second = in_use(cache / OLD), in_use(cache / OLD)
    del first
    make_room(mine, 3_000_000)
    assert left(cache) == [OLD]
    with pytest.raises(StorageError, match=r"0.003 GB are free"):
        make_room(mine, 3_000_001)
    assert bytes_available(cache / OLD) == 4_000_000  # its own bytes are not in its way
    del second
    make_room(mine, 4_000_000)
    assert left(cache) == []


def test_so_many_users_that_one_is_not_known_of(cache):
    users = [in_use(cache / OLD) for _ in range(USERS + 1)]
    assert [user is not None for user in users] == [True] * USERS + [False]


def test_weights_stay_but_count(cache, mine):
    put(cache / "weights" / "one", 2, 100)
    assert bytes_available(mine) == 2_000_000
    make_room(mine, 0)
    assert left(cache) == [MIDDLE, NEW]
    put(cache / "weights" / "two", 3, 100)
    assert bytes_available(mine) == 0
    make_room(mine, 0)  # all that can go, without a word
    assert left(cache) == []
    assert (cache / "weights" / "one" / "file").exists()


def test_stopped_runs_are_the_last_to_go_and_a_live_one_stays(cache, mine):
    for age, name in enumerate(("live", "young", "old"), 100):
        put(cache / "runs" / name, 1, age)
    with folder_lock(cache / "runs" / "live", lambda: pytest.fail("nobody holds it")):
        make_room(mine, 1_000_000)
        assert left(cache) == []
        assert len(list((cache / "runs").iterdir())) == 3
        make_room(mine, 2_000_000)
        assert not (cache / "runs" / "old").exists()
        make_room(mine, 3_000_000)
    assert [run.name for run in (cache / "runs").iterdir()] == ["live"]


def test_what_is_being_written_stays_unless_it_was_left_by_a_kill(cache, mine):
    stage = cache / "bundles" / ".name.x.tmp"
    put(stage, 1, 0)
    touch(stage)
    make_room(mine, 3_000_000)
    assert stage.exists()
    os.utime(stage, (1, 1))
    make_room(mine, 3_000_001)
    assert not stage.exists()


def test_without_filelock_what_has_a_lock_stays(cache, mine, monkeypatch):
    with folder_lock(cache / OLD, lambda: None):
        pass
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert in_use(cache / NEW) is None
    make_room(mine, 3_000_000)
    assert left(cache) == [OLD]


def test_what_never_fits_is_refused_before_anything_is_deleted(cache, mine):
    with pytest.raises(
        StorageError, match=r"activations take 0.005 GB; 0.004 GB are free in .*activations or allowed"
    ) as caught:
        make_room(mine, 5_000_000)
    assert "LUNGFISH_CACHE_GB" in caught.value.hint
    assert left(cache) == [OLD, MIDDLE, NEW]
