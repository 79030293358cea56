"""Photos that come in groups, and their copies on this disk."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lungfish.core.errors import DownloadError, UnreadablePhotoError
from lungfish.data.photos import Photo
from lungfish.data.sources.assembly import Listing
from lungfish.data.sources.copies import plan_copies
from lungfish.data.sources.groups import GROUPS_HELD, GroupReader

SIZE = 5  # photos in a group


class Numbered:
    """Groups of photos whose bytes are their numbers; counts what is loaded."""

    def __init__(self):
        self.loaded = []
        self.broken = {}
        self.lock = threading.Lock()

    def find(self, row):
        return divmod(row, SIZE)

    def load(self, group):
        with self.lock:
            self.loaded.append(group)
        rows = range(group * SIZE, group * SIZE + SIZE)
        return [self.broken.get(row, str(row).encode()) for row in rows]

    def __getstate__(self):
        return {"loaded": [], "broken": self.broken, "lock": None}

    def __setstate__(self, state):
        self.__dict__ |= state | {"lock": threading.Lock()}


def photo(row):
    return Photo(str(row), 0, row=row)


def copies_of(identity, needed_bytes=1000):
    return plan_copies(identity, needed_bytes, Listing(), "slow")


@pytest.fixture
def groups():
    return Numbered()


def test_each_group_is_loaded_once(groups):
    reader = GroupReader(groups, copies_of("a"))
    for row in [*range(0, 100, 7), *range(100)]:
        assert reader(photo(row)) == str(row).encode()
    assert sorted(groups.loaded) == list(range(20))
    assert len(reader._held) <= GROUPS_HELD


def test_threads_wait_for_one_load(groups):
    reader = GroupReader(groups, None)
    gate = threading.Barrier(4)
    load = groups.load

    def slow(group):
        gate.wait(timeout=10)  # with the three other groups: they load side by side
        return load(group)

    groups.load = slow
    with ThreadPoolExecutor(20) as pool:
        rows = list(range(4 * SIZE))
        assert list(pool.map(lambda row: reader(photo(row)), rows)) == [str(row).encode() for row in rows]
    assert len(groups.loaded) >= 4


def test_without_copies_memory_holds_a_few_groups(groups):
    reader = GroupReader(groups, None)
    for row in [0, 99, 50, 25, 1]:
        reader(photo(row))
    assert groups.loaded == [0, 19, 10, 5, 0]
    assert len(reader._held) == GROUPS_HELD


def test_a_copy_knows_why_a_photo_cannot_be_read(groups):
    groups.broken = {3: UnreadablePhotoError("the row holds no picture")}
    for _ in range(2):
        reader = GroupReader(groups, copies_of("a"))
        with pytest.raises(UnreadablePhotoError, match="the row holds no picture"):
            reader(photo(3))
        assert reader(photo(4)) == b"4"
    assert groups.loaded == [0]


def test_what_fails_for_now_is_tried_again(groups):
    reader = GroupReader(groups, copies_of("a"))
    groups.broken = {3: DownloadError("cannot be fetched: timeout")}
    with pytest.raises(UnreadablePhotoError, match="timeout"):
        reader(photo(3))
    groups.broken = {}
    assert reader(photo(3)) == b"3"

    def fail(_):
        raise DownloadError("gone")

    load, groups.load = groups.load, fail
    with pytest.raises(UnreadablePhotoError, match="gone"):
        reader(photo(50))
    groups.load = load
    assert reader(photo(50)) == b"50"


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 80, b"\0" * 80], ids=["deleted", "short", "ones", "zeros"])
def test_deleted_and_damaged_copies_are_made_again(groups, cache, damage):
    GroupReader(groups, copies_of("a"))(photo(3))
    [file] = cache.rglob("*.photos")
    if damage:
        file.write_bytes(damage)
    else:
        file.unlink()
    assert GroupReader(groups, copies_of("a"))(photo(3)) == b"3"
    assert groups.loaded == [0, 0]
    assert GroupReader(groups, copies_of("a"))(photo(3)) == b"3"
    assert groups.loaded == [0, 0]


def test_the_budget(groups, cache, monkeypatch):
    GroupReader(groups, copies_of("old", 900))(photo(3))
    [old] = (cache / "photos").iterdir()
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1e-6")  # 1,000 bytes
    listing = Listing()
    assert plan_copies("large", 1001, listing, "reading is slow") is None
    [warning] = listing.warnings
    assert warning.endswith("take 1e-06 GB, but LUNGFISH_CACHE_GB or the disk leaves only 1e-06 GB; reading is slow")
    GroupReader(groups, copies_of("new", 950))(photo(3))
    assert not old.exists()
    # a source that holds more than it said does not grow beyond the budget
    groups.broken = dict.fromkeys(range(100), b"x" * 150)
    reader = GroupReader(groups, copies_of("liar", 1))
    assert [len(reader(photo(row))) for row in range(100)] == [150] * 100
    assert sum(file.stat().st_size for file in cache.rglob("*.photos")) <= 1000


def test_copies_that_are_read_stay(groups, cache, monkeypatch):
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1e-6")  # 1,000 bytes
    reader = GroupReader(groups, copies_of("first", 600))
    reader(photo(3))
    [first] = (cache / "photos").iterdir()
    (first / "99.photos").write_bytes(bytes(500))
    assert plan_copies("second", 600, Listing(), "slow") is None
    assert plan_copies("first", 600, Listing(), "slow") is not None
    pickle.loads(pickle.dumps(reader))(photo(99))
    del reader
    GroupReader(groups, copies_of("second", 600))(photo(3))
    assert not first.exists()


def test_a_full_disk_is_no_error(groups, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    reader = GroupReader(groups, copies_of("a"))
    monkeypatch.setattr(Path, "open", full)
    assert [reader(photo(row)) for row in (0, 50, 99, 0)] == [b"0", b"50", b"99", b"0"]


def test_a_pickled_reader_finds_the_copies(groups):
    reader = GroupReader(groups, copies_of("a"))
    reader(photo(3))
    other = pickle.loads(pickle.dumps(reader))
    assert other(photo(4)) == b"4"
    assert other.groups.loaded == []
    assert other(photo(5)) == b"5"
    assert other.groups.loaded == [1]
