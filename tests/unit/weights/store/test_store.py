"""The store: by content, unaltered or not at all."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lungfish.core.cache import MARKER
from lungfish.core.errors import StorageError, WeightsError
from lungfish.core.hashing import sha256_bytes
from lungfish.weights.catalogue import find_entry
from lungfish.weights.store import store as module
from lungfish.weights.store.pruning import DAY_S, prune
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store

DATA, HASH = b"weights", sha256_bytes(b"weights")
ENTRY = replace(
    find_entry("efficientnet_lite0.in1k"), name="hf:owner/re po", location="hf:owner/repo@main/x.pth", sha256=HASH
)
NETWORKS = [f"{number:016x}" for number in range(3)]
RECORD = WeightsRecord(ENTRY, "2026-01-01T00:00:00+00:00")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.pth"
    path.write_bytes(DATA)
    return path


def test_the_usual_folder_is_in_the_cache(cache: Path) -> None:
    assert Store().folder == cache / "weights"


def test_a_file_is_found_by_its_content(store: Store, file: Path) -> None:
    assert store.blob(HASH) is None
    assert store.add(file) == HASH
    blob = store.blob(HASH)
    assert blob is not None
    assert (blob.read_bytes(), blob.suffix) == (DATA, ".pth")
    assert file.exists()
    assert store.add(file, move=True) == HASH
    assert not file.exists()
    assert [path.name for path in (store.folder / "blobs").iterdir()] == [f"{HASH}.pth"]


def test_an_altered_file_is_not_given_out_and_can_be_replaced(store: Store, file: Path) -> None:
    store.add(file)
    blob = store.blob(HASH)
    assert blob is not None
    blob.write_bytes(b"WEIGHTS")
    os.utime(blob, ns=(0, 0))  # whatever the clock's grain
    assert store.blob(HASH) is None
    store.add(file)
    assert store.blob(HASH) == blob
    blob.write_bytes(DATA[:3])
    assert store.blob(HASH) is None


def test_a_file_is_hashed_again_only_when_it_changed(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add(file)
    hashed: list[Path] = []
    original = module.sha256_file
    monkeypatch.setattr(module, "sha256_file", lambda path: hashed.append(path) or original(path))
    blob = store.blob(HASH)
    assert hashed == []
    assert blob is not None
    os.utime(blob, ns=(0, 0))
    assert [store.blob(HASH), store.blob(HASH)] == [blob, blob]
    assert hashed == [blob]


def test_a_file_whose_hash_was_never_noted(store: Store, file: Path) -> None:
    store.add(file)
    (store.folder / "checked" / HASH).unlink()
    assert store.blob(HASH)


def test_cards(store: Store) -> None:
    assert store.record(ENTRY.name) is None
    assert store.records() == []
    store.write_record(RECORD)
    assert store.record(ENTRY.name) == RECORD
    assert store.records() == [RECORD]
    assert store.record("hf:owner/re-po") is None
    other = replace(RECORD, entry=replace(ENTRY, name="HF:owner/re po"))
    store.write_record(other)
    assert store.record(ENTRY.name) == RECORD
    assert store.records() == [other, RECORD]


@pytest.mark.parametrize("name", ["..", "../../x", "C:\\x", "NUL", "a" * 300, "\x00", "é", "."])
def test_any_name_is_a_file_of_the_folder(store: Store, name: str) -> None:
    record = replace(RECORD, entry=replace(ENTRY, name=name))
    store.write_record(record)
    assert store.record(name) == record
    assert [path.parent for path in store.folder.rglob("*.json")] == [store.folder / "records"]


def test_a_torn_card_counts_as_none(store: Store) -> None:
    store.write_record(RECORD)
    path = store.record_file(ENTRY.name)
    text = path.read_text()
    for torn in ("", text[:100], text.replace('"same"', '"none"'), text.replace("re po", "repo"), "\x00", "[" * 9999):
        path.write_text(torn)
        assert store.record(ENTRY.name) is None


def archive(folder: Path, name: str = "model.ckpt.index") -> Path:
    path = folder / "a.tgz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(DATA)
        tar.addfile(info, io.BytesIO(DATA))
    return path


def test_unpacked(store: Store, tmp_path: Path) -> None:
    assert store.unpacked(HASH) is None
    sha256 = store.add(archive(tmp_path))
    folder = store.unpacked(sha256)
    assert folder == store.folder / "unpacked" / sha256
    assert folder is not None
    member = folder / "model.ckpt.index"
    for alter in (lambda: member.write_bytes(b"altered"), member.unlink, lambda: (folder / "mine").write_text("x")):
        assert member.read_bytes() == DATA
        alter()
        assert store.unpacked(sha256) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["mine", "model.ckpt.index"]
    member.write_bytes(b"altered")
    assert store.unpacked(sha256) == folder
    assert member.read_bytes() == DATA
    assert (folder.with_name(f"{sha256}-kept") / "mine").read_text() == "x"  # a user's file is moved aside


def test_a_hostile_archive_leaves_nothing(store: Store, tmp_path: Path) -> None:
    sha256 = store.add(archive(tmp_path, "../../../evil"))
    with pytest.raises(WeightsError, match="refused to unpack"):
        store.unpacked(sha256)
    assert not list((store.folder / "unpacked").iterdir())
    assert not list(tmp_path.rglob("evil"))


def test_a_lock_makes_others_wait(store: Store) -> None:
    order: list[str] = []

    def second() -> None:
        with store.lock("x"):
            order.append("second")

    with store.lock("x"), store.lock("y"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_folder_that_cannot_be_written(cache: Path, file: Path) -> None:
    cache.parent.write_text("x")
    store = Store()
    for attempt in (lambda: store.add(file), lambda: store.write_record(RECORD), lambda: store.lock("x").__enter__()):
        with pytest.raises(StorageError, match="cannot write"):
            attempt()
    assert store.blob(HASH) is None
    assert store.records() == []


def fill(store: Store, file: Path) -> Path:
    """A set, a file of no set, and an unfinished download."""
    store.add(file)
    store.write_record(RECORD)
    left = file.with_name("left.bin")
    left.write_bytes(b"left over")
    store.add(left)
    part = store.downloads("some") / "w.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"part")
    return part


def test_prune_deletes_what_no_set_refers_to(store: Store, file: Path) -> None:
    assert prune(store, 0) == []
    fill(store, file)
    other = sha256_bytes(b"left over")
    torn = store.record_file("torn")
    torn.write_text("{")
    temporary, recent = (torn.with_name(f".{torn.name}.{number:016x}.tmp") for number in range(2))
    for path in (temporary, recent):
        path.touch()
    os.utime(temporary, (0, 0))
    pruned = prune(store)
    assert (temporary.exists(), recent.exists()) == (False, True)
    assert {each.file.partition(".")[0] for each in pruned} == {
        "records/",
        *(f"blobs/{other}", f"checked/{other}", f"downloads/{store.downloads('some').name}"),
    }
    assert sum(each.bytes for each in pruned if "checked" not in each.file) == len("left overpart")
    assert torn.exists()  # it may be of a newer lungfish
    assert store.blob(HASH)
    assert store.record(ENTRY.name) == RECORD
    assert prune(store) == []


def test_prune_deletes_networks_of_no_set(store: Store) -> None:
    """Which are written before their card: a day is left for it."""
    used, old, recent = (store.folder / "architectures" / f"{name}.json" for name in NETWORKS)
    store.write_record(replace(RECORD, entry=replace(ENTRY, arch=str(used))))
    used.parent.mkdir()
    for path in (used, old, recent):
        path.write_text("{}")
    for path in (used, old):
        os.utime(path, (0, 0))
    assert [each.file for each in prune(store)] == [f"architectures/{NETWORKS[1]}.json"]
    assert [each.file for each in prune(store, 0)][1:] == [f"architectures/{NETWORKS[0]}.json"]
    assert recent.exists()


def test_prune_leaves_what_has_no_name_of_ours(store: Store, file: Path) -> None:
    part = fill(store, file)
    theirs = [
        store.folder / ".git" / "HEAD",
        store.folder / "blobs" / "holiday.pth",
        store.folder / "records" / ".x.json.tmp",
        part.with_name("w.pth"),  # saved by hand, to be taken in by the next fetch
    ]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))
    pruned = prune(store, 0)
    assert not part.exists()
    assert store.blob(HASH) is None
    assert [path.read_text() for path in theirs] == ["mine"] * 4
    assert not [each for each in pruned if "git" in each.file or "holiday" in each.file]


def test_prune_deletes_nothing_from_a_folder_that_we_did_not_make(store: Store, file: Path) -> None:
    fill(store, file)
    (store.folder.parent / MARKER).unlink()
    assert prune(store, 0) == []
    assert store.blob(HASH)


def test_prune_leaves_what_a_newer_lungfish_refers_to(store: Store, file: Path) -> None:
    fill(store, file)
    record = store.record_file(ENTRY.name)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"schema": 99}))
    assert store.record(ENTRY.name) is None
    prune(store)
    assert store.blob(HASH)
    prune(store, 0)
    assert store.blob(HASH) is None


def test_prune_by_age(store: Store, file: Path) -> None:
    fill(store, file)
    prune(store, 1.0)
    assert store.blob(HASH)
    old = time.time() - 2 * DAY_S
    os.utime(store.record_file(ENTRY.name), (old, old))
    store.touch(ENTRY.name)
    prune(store, 1.0)
    assert store.record(ENTRY.name)
    os.utime(store.record_file(ENTRY.name), (old, old))
    prune(store, 1.0)
    assert store.record(ENTRY.name) is None
    assert store.blob(HASH) is None


def test_prune_all(store: Store, file: Path, tmp_path: Path) -> None:
    fill(store, file)
    sha256 = store.add(archive(tmp_path))
    store.write_record(replace(RECORD, entry=replace(ENTRY, name="archive", sha256=sha256)))
    assert store.unpacked(sha256)
    prune(store)
    assert (store.folder / "unpacked" / sha256).is_dir()
    prune(store, 0)
    assert [path for path in store.folder.rglob("*") if path.is_file() and path.parent.name != "locks"] == []


def test_prune_leaves_what_is_being_fetched(store: Store, file: Path) -> None:
    part = fill(store, file)
    with store.lock("some"), store.lock(ENTRY.name):
        prune(store, 0)
    assert part.exists()
    assert store.blob(HASH)
    prune(store, 0)
    assert not part.exists()
    assert store.blob(HASH) is None
