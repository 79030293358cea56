from __future__ import annotations

import os
import shutil
import sys

import pytest

from lungfish.core.cache import MARKER, cache_folder
from lungfish.core.errors import StorageError
from lungfish.core.own_files import delete_own
from lungfish.core.space import (
    USERS,
    bytes_available,
    cache_bytes,
    folder_lock,
    in_use,
    make_room,
    nothing_deleted,
    touch,
)

OLD, MIDDLE, NEW = f"photos/{0:032x}", f"activations/{1:064x}", f"photos/{2:032x}"
FILES = {
    "photos": "0.photos",
    "activations": "array.npy",
    "bundles": "model.onnx",
    "runs": f"{0:016x}/job.json",
    "blobs": f"{0:064x}.pth",
}
LIVE, YOUNG, OLDEST = (f"runs/{number:024x}" for number in range(3))


def put(folder, megabytes, age):
    """Fill an entry of the cache, or the folder of weights."""
    file = folder / FILES[folder.name if folder.name in FILES else folder.parent.name]
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(megabytes * 1_000_000))
    os.utime(folder, (1_000_000 - age, 1_000_000 - age))


@pytest.fixture(autouse=True)
def things(cache, monkeypatch):
    """Three folders of a megabyte each, and four megabytes for all."""
    cache_folder()
    for age, name in enumerate((NEW, MIDDLE, OLD)):
        put(cache / name, 1, age)
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.004")


@pytest.fixture
def mine(cache):
    return cache / "activations" / f"{9:064x}"


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
    index = cache / "shards" / f"{0:032x}.json"
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
    with pytest.raises(StorageError, match=r"only 0.003 GB are available"):
        make_room(mine, 3_000_001)
    assert bytes_available(cache / OLD) == 4_000_000  # its own bytes are not in its way
    del second
    make_room(mine, 4_000_000)
    assert left(cache) == []


def test_so_many_users_that_one_is_not_known_of(cache):
    users = [in_use(cache / OLD) for _ in range(USERS + 1)]
    assert [user is not None for user in users] == [True] * USERS + [False]


def test_weights_stay_but_count(cache, mine):
    put(cache / "weights" / "blobs", 2, 100)
    assert bytes_available(mine) == 2_000_000
    make_room(mine, 0)
    assert left(cache) == [MIDDLE, NEW]
    (cache / "weights" / "blobs" / f"{1:064x}").write_bytes(bytes(3_000_000))
    assert bytes_available(mine) == 0
    make_room(mine, 0)  # all that can go, without a word
    assert left(cache) == []
    assert (cache / "weights" / "blobs" / FILES["blobs"]).exists()


def test_stopped_runs_are_the_last_to_go_and_a_live_one_stays(cache, mine):
    for age, name in enumerate((LIVE, YOUNG, OLDEST), 100):
        put(cache / name, 1, age)
    with folder_lock(cache / LIVE, lambda: pytest.fail("nobody holds it")):
        make_room(mine, 1_000_000)
        assert left(cache) == []
        assert len(list((cache / "runs").iterdir())) == 3
        make_room(mine, 2_000_000)
        assert not (cache / OLDEST).exists()
        make_room(mine, 3_000_000)
    assert list((cache / "runs").iterdir()) == [cache / LIVE]


def test_what_is_being_written_stays_unless_it_was_left_by_a_kill(cache, mine):
    stage = cache / "bundles" / f".name-{0:012x}.abcd_123.tmp"
    for name in ("owner", "lock", "new/model.onnx"):
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        (stage / name).write_bytes(bytes(333_333))
    touch(stage)
    make_room(mine, 3_000_000)
    assert stage.exists()
    os.utime(stage, (1, 1))
    make_room(mine, 3_000_002)
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
        StorageError, match=r"activations need 0.005 GB, but only 0.004 GB are available in .*activations, after"
    ) as caught:
        make_room(mine, 5_000_000)
    assert "LUNGFISH_CACHE_GB" in caught.value.hint
    assert left(cache) == [OLD, MIDDLE, NEW]


def test_what_has_no_name_of_ours_stays_and_does_not_count(cache, mine):
    theirs = [
        cache / OLD / "cat.jpg",
        cache / "photos" / "cat" / "0.photos",
        cache / "runs" / "mail.mbox",
        cache.parent / "photos" / "dog.jpg",
        cache / "thesis.txt",
    ]
    for file in theirs:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(5_000_000))
        os.utime(file, (1, 1))
    (cache / "features").mkdir()
    (cache / "features" / f"{3:064x}").symlink_to(cache.parent / "photos")
    assert cache_bytes() == 3_000_000
    assert bytes_available(mine) == 4_000_000
    make_room(mine, 4_000_000)
    assert all(len(file.read_bytes()) == 5_000_000 for file in theirs)
    assert (cache / "features" / f"{3:064x}").is_symlink()
    assert cache_bytes() == 0
    assert left(cache) == [OLD]  # with the cat


def test_a_dry_run_deletes_nothing(cache, mine):
    with nothing_deleted():
        assert bytes_available(mine) == 1_000_000
        make_room(mine, 1_000_000)
        with pytest.raises(StorageError):
            make_room(mine, 1_000_001)
        assert left(cache) == [OLD, MIDDLE, NEW]
    make_room(mine, 1_000_001)
    assert left(cache) == [MIDDLE, NEW]


def test_without_its_marker_nothing_goes(cache, mine):
    (cache / MARKER).unlink()
    with pytest.raises(StorageError):
        make_room(mine, 1_000_001)
    assert left(cache) == [OLD, MIDDLE, NEW]


def test_without_the_marker_nothing_is_deleted_by_whatever_way(cache):
    (cache / MARKER).unlink()
    delete_own(cache / OLD, cache / "photos")
    assert left(cache) == [OLD, MIDDLE, NEW]


@pytest.mark.parametrize("folder", [".convert-ab_12345", f"downloads/x-{0:012x}/.clone-ab_12345/objects/pack"])
def test_what_a_killed_conversion_or_clone_leaves_is_counted_and_deleted(cache, folder):
    before = cache_bytes("weights")
    (cache / "weights" / folder).mkdir(parents=True)
    (cache / "weights" / folder / "file").write_bytes(bytes(100))
    assert cache_bytes("weights") == before + 100
    delete_own(cache / "weights" / folder, cache / "weights")
    assert not (cache / "weights" / folder).exists()
