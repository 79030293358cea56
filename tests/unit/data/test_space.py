from __future__ import annotations

import os
import shutil

import pytest

from lungfish.core.errors import StorageError
from lungfish.data.space import bytes_available, folder_lock, make_room, touch


@pytest.fixture
def parent(cache):
    """Three folders of a megabyte each: `old`, `middle` and `new`."""
    for age, name in enumerate(("new", "middle", "old")):
        folder = cache / "things" / name
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1_000_000))
        os.utime(folder, (1_000_000 - age, 1_000_000 - age))
    return cache / "things"


@pytest.fixture(autouse=True)
def budget(monkeypatch):
    """Four megabytes."""
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.004")


def names(parent):
    return sorted(folder.name for folder in parent.iterdir())


def test_what_is_available(parent, monkeypatch):
    assert bytes_available(parent) == 4_000_000
    assert bytes_available(parent / "not" / "yet") == 4_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 500_000, 500_000))
    assert bytes_available(parent) == 3_500_000  # what the disk has, and what older folders can give


@pytest.mark.parametrize(
    ("needed", "left"),
    [(1_000_000, ["middle", "new", "old"]), (1_000_001, ["middle", "new"]), (3_000_000, ["new"]), (4_000_000, [])],
)
def test_the_least_recently_used_make_room(parent, needed, left):
    make_room(parent / "mine", needed)
    assert names(parent) == left


def test_what_is_used_now_is_not_the_oldest(parent):
    touch(parent / "old")
    make_room(parent / "mine", 2_000_000)
    assert names(parent) == ["new", "old"]
    touch(parent / "gone")


def test_what_another_writes_stays(parent):
    with folder_lock(parent / "old", lambda: pytest.fail("nobody holds it")):
        make_room(parent / "mine", 3_000_000)
    assert names(parent) == ["old"]


def test_what_never_fits_is_refused_before_anything_is_deleted(parent):
    with pytest.raises(StorageError, match=r"things take 0.005 GB; 0.004 GB are free in .*things or allowed") as caught:
        make_room(parent / "mine", 5_000_000)
    assert "LUNGFISH_CACHE_GB" in caught.value.hint
    assert names(parent) == ["middle", "new", "old"]
