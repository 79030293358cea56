"""Whatever a user keeps in the cache or beside it, and whatever Lungfish does there, nothing of the user's is lost."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from lungfish.core.cache import FOLDER, MARKER, cache_folder, cache_path
from lungfish.core.errors import LungfishError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.partial import Partial, Version
from lungfish.core.space import cache_bytes, folder_lock, in_use, make_room, nothing_deleted, old_cache_bytes
from lungfish.core.staging import staged_folder
from lungfish.data.loading.growing_array import GrowingArray
from lungfish.data.scan.row_store import RowStore
from lungfish.job.run_dir import begin_run, end_run
from lungfish.weights.catalogue import find_entry
from lungfish.weights.fetch.fetch import forget
from lungfish.weights.store.pruning import prune
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need fork")

EXAMPLES, EVERY_EXAMPLE, STEPS = 10, 1_000, 14
KINDS = ("activations", "bundles", "features", "inspections", "photos", "runs", "shards", "weights")
HASHES = [sha256_bytes(bytes([number])) for number in range(3)]
# Names of a user's: like those that the cache has, but none of them.
NEARLY = [
    *("array.npy", "record.json", "model.onnx", "bundle.json", "job.json", "0.photos", "owner", "lock", "new", "old"),
    *(".git", ".env", "thesis.tex", "CACHEDIR.TAG.bak", ".thesis.tmp", ".array.npy.0123456789abcdef.tmp", "lungfish"),
    *(f"{HASHES[0][:-1]}", f"{HASHES[0]}.npz", f"{HASHES[0].upper()}.npy", f"{HASHES[0]}.NPY", f"{HASHES[0]}~"),
    *(f".{HASHES[0]}.abcdefgh.old", f"{HASHES[0][:24]} copy", f"{HASHES[0][:32]}.jsonl", "0000001.json"),
]
# Places in the cache where Lungfish keeps things.
OURS = [
    f"features/{HASHES[0]}",
    f"activations/{HASHES[0]}",
    f"runs/{HASHES[0][:24]}",
    f"runs/{HASHES[0][:24]}/{HASHES[0][:16]}/full",
    f"weights/unpacked/{HASHES[0]}",
    *("weights", "weights/blobs", "weights/records", "weights/checked", "weights/unpacked", "weights/downloads"),
    *("bundles", "bundles/lite0-0123456789ab", "bundles/lite0-0123456789ab/golden", "locks"),
]
# Names that cannot be told apart from ours: in a marked cache, Lungfish gives files these very names.
TAKEN = {
    f"activations/{HASHES[0]}": ("array.npy", "record.json", ".array.npy.0123456789abcdef.tmp"),
    f"runs/{HASHES[0][:24]}/{HASHES[0][:16]}/full": ("job.json",),
    "bundles/lite0-0123456789ab": ("model.onnx", "bundle.json"),
    "weights/blobs": (f"{HASHES[0]}.npz", f"{HASHES[0]}.NPY"),  # whatever the ending of what was published
}
KILLED_AT = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "utime")

places = st.sampled_from(["", *KINDS, FOLDER, *(f"{FOLDER}/{kind}" for kind in (*KINDS, *OURS)), "photos/holidays"])
names = st.sampled_from(NEARLY) | st.text("abcö .-_0", min_size=1, max_size=8).filter(lambda name: name.strip(". "))
numbers = st.integers(0, len(HASHES) - 1)


class CacheStates(RuleBasedStateMachine):
    """A folder that `LUNGFISH_CACHE` names, with what a user and what Lungfish have put there."""

    cases = steps = kills = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).cases += 1
        self.folder = Path(tempfile.mkdtemp(prefix="cache-states-"))
        self.home = self.folder / "home"
        self.home.mkdir()
        self.saved = {name: os.environ.get(name) for name in ("LUNGFISH_CACHE", "LUNGFISH_CACHE_GB")}
        os.environ |= {"LUNGFISH_CACHE": str(self.home), "LUNGFISH_CACHE_GB": "10"}
        self.files: dict[Path, bytes] = {}  # the user's
        self.links: dict[Path, str] = {}
        self.held: list[object] = []
        self.outside = self.folder / "outside"
        self.outside.mkdir()
        self.add(self.outside / "photo.jpg", b"a photo")

    def teardown(self) -> None:
        self.held.clear()
        for name, value in self.saved.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        shutil.rmtree(self.folder)

    def add(self, path: Path, data: bytes) -> None:
        place = path.parent.relative_to(cache_path()).as_posix() if path.is_relative_to(cache_path()) else ""
        if path.name in TAKEN.get(place, ()):
            return
        with contextlib.suppress(OSError):  # a file where a folder would have to be, or the other way round
            path.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(path):
                path.write_bytes(data)
                self.files[path] = data

    # ---- what a user does

    @rule(place=places, name=names, size=st.integers(0, 2_000))
    def keep_a_file(self, place: str, name: str, size: int) -> None:
        self.add(self.home / place / name, bytes(size))

    @rule(place=places, name=names, inner=names)
    def keep_a_folder(self, place: str, name: str, inner: str) -> None:
        self.add(self.home / place / name / inner, b"in a folder")

    @rule(place=places, name=names)
    def keep_a_link(self, place: str, name: str) -> None:
        path = self.home / place / name
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(self.outside)
            self.links[path] = str(self.outside)

    @rule()
    def take_the_marker_away(self) -> None:
        (cache_path() / MARKER).unlink(missing_ok=True)

    # ---- what Lungfish does

    @rule(operation=st.deferred(lambda: operations))
    def work(self, operation: Callable[[], object]) -> None:
        attempt(operation)

    @rule(operation=st.deferred(lambda: operations), calls=st.integers(0, 12))
    def be_killed(self, operation: Callable[[], object], calls: int) -> None:
        type(self).kills += 1
        os.waitpid(start(operation, calls), 0)

    @rule(one=st.deferred(lambda: operations), other=st.deferred(lambda: operations))
    def work_at_the_same_time(self, one: Callable[[], object], other: Callable[[], object]) -> None:
        for child in [start(one), start(other)]:
            os.waitpid(child, 0)

    @rule(gigabytes=st.sampled_from(["0.0000000001", "0.000001", "0.00001", "10"]))
    def set_the_budget(self, gigabytes: str) -> None:
        os.environ["LUNGFISH_CACHE_GB"] = gigabytes

    @rule(number=numbers)
    def use_for_long(self, number: int) -> None:
        self.held.append(in_use(cache_folder() / "features" / HASHES[number]))

    @rule()
    def be_idle_for_a_month(self) -> None:
        self.held.clear()
        for path in cache_path().rglob("*"):
            if path not in self.files and not path.is_symlink():
                os.utime(path, (1, 1))

    @rule(needed=st.sampled_from([0, 500, 10**12]))
    def plan(self, needed: int) -> None:
        before = set(self.home.rglob("*"))
        with nothing_deleted():
            attempt(partial(make_room, cache_folder() / "features" / HASHES[0], needed))
        assert set(self.home.rglob("*")) >= before

    # ---- what always holds

    @invariant()
    def nothing_of_the_users_is_lost_or_changed(self) -> None:
        type(self).steps += 1
        for path, data in self.files.items():
            assert path.read_bytes() == data, path
        for path, target in self.links.items():
            assert str(path.readlink()) == target

    @invariant()
    def only_our_bytes_are_counted(self) -> None:
        ours = [
            path.lstat().st_size
            for kind in KINDS
            for path in (cache_path() / kind).rglob("*")
            if path.is_file() and not path.is_symlink() and path not in self.files
            if not path.match("downloads/*/model.tar")  # which may have been saved by hand: the next fetch takes it in
        ]
        assert cache_bytes() == sum(ours)
        assert old_cache_bytes() == 0


def attempt(operation: Callable[[], object]) -> None:
    with contextlib.suppress(LungfishError):  # an expected error: a user's file is in the way
        operation()


def start(operation: Callable[[], object], calls: int | None = None) -> int:
    """Start a process that does it; killed at that call of the operating system, if any."""
    if child := os.fork():
        return child
    left = [calls]

    def counted(call: Callable[..., object], *arguments: object, **options: object) -> object:
        if left[0] is not None:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
        return call(*arguments, **options)

    try:
        for name in KILLED_AT:
            setattr(os, name, partial(counted, getattr(os, name)))
        attempt(operation)
    finally:
        os._exit(0)


def add_rows(number: int) -> None:
    rows = RowStore(cache_folder() / "features" / HASHES[number], "u1")
    for row in range(4):
        rows.add(sha256_bytes(os.urandom(8)), row)
        rows.flush()


def add_array(number: int) -> None:
    array = GrowingArray(cache_folder() / "activations" / HASHES[number], "key", (4, 2), "u1")
    with folder_lock(array.folder, lambda: None):
        if not array.exists:
            array.create()
        if array.done < 4:
            array.append(np.zeros((1, 2), "u1"))
            array.flush()


def add_bundle(number: int) -> None:
    with staged_folder(cache_folder() / "bundles" / f"lite0-{HASHES[number][:12]}") as new:
        (new / "model.onnx").write_bytes(bytes(300))
        (new / "golden").mkdir()
        (new / "golden" / "rings.png").write_bytes(bytes(30))


def run_of(number: int) -> Path:
    return cache_folder() / "runs" / HASHES[number][:24] / HASHES[number][:16]


def record_of(number: int, sha256: str) -> WeightsRecord:
    name = f"hf:owner/{number}"
    entry = replace(find_entry("efficientnet_lite0.in1k"), name=name, location=f"{name}:model.pth", sha256=sha256)
    return WeightsRecord(entry, "2026-01-01T00:00:00+00:00", "Apache-2.0")


def add_weights(number: int) -> None:
    """As a download, which is an archive."""
    store = Store()
    record = record_of(number, "")
    file = store.downloads(record.entry.name) / "model.tar"
    with store.lock(record.entry.name), Partial(file) as part:
        part.restart(Version("https://example.com/model.tar", "tag", None))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(f"empty-{number}"))
        part.write(buffer.getvalue())
        part.finish()
    with store.changing():
        sha256 = store.add(file, move=True)
        store.write_record(record_of(number, sha256))
    store.unpacked(sha256)


def forget_weights(number: int) -> None:
    if record := Store().record(record_of(number, "").entry.name):
        forget(record)


def clean(number: int, needed: int) -> None:
    make_room(cache_folder() / "features" / HASHES[number], needed)


def prune_weights(days: float | None) -> None:
    prune(Store(), days)


operations = st.one_of(
    st.builds(
        partial,
        st.sampled_from([add_rows, add_array, add_bundle, add_weights, forget_weights]),
        numbers,
    ),
    st.builds(lambda number: partial(begin_run, run_of(number), {"seed": "0"}), numbers),
    st.builds(lambda number: lambda: end_run(run_of(number)), numbers),
    st.builds(lambda number, needed: partial(clean, number, needed), numbers, st.sampled_from([0, 500, 5_000])),
    st.builds(lambda days: partial(prune_weights, days), st.sampled_from([None, 0, 30])),
)


def test_nothing_of_a_users_is_ever_lost(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    examples = EVERY_EXAMPLE if request.config.getoption("--every-case") else EXAMPLES
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        CacheStates,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
    states = CacheStates
    record_property("states of the cache", f"{states.cases:,} cases, {states.steps:,} steps, {states.kills:,} kills")
