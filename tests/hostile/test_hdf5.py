"""HDF5 files, and processes that read them, that crash, hang or lie. `tests/unit/weights` has the rest."""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungfish.core.errors import WeightsError, WorkerError
from lungfish.weights.formats import hdf5_process
from lungfish.weights.formats.hdf5_process import Hdf5Process
from lungfish.weights.formats.limits import MAX_TENSORS

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'lungfish[keras]'")

# What a process that a file has taken over could send, after it was asked.
PRELUDE = r"""
import json, os, sys
def send(header, data=b""):
    text = json.dumps(header).encode()
    os.write(1, len(text).to_bytes(8, "little") + text + data)
send({"ready": "1"})
sys.stdin.readline()
"""
BIG = '{"kind": "published", "layers": {}, "arrays": [["a", "<f4", [1000000]]]}'
ODD = '{"kind": "published", "layers": {}, "arrays": [["a", "|O", [1]]]}'
SLEEP = "import time; time.sleep(60)"
ENDED = r"the library crashed on it, (signal|exit code)"


@pytest.fixture
def process() -> Iterator[Hdf5Process]:
    created = Hdf5Process()
    yield created
    created._end()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sound file of one array."""
    with h5py.File(tmp_path / "net.h5", "w") as opened:
        opened.attrs["layer_names"] = [b"a"]
        opened["a/a/kernel:0"] = np.arange(6, dtype="f4").reshape(2, 3)
    return tmp_path / "net.h5"


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("os.abort()", ENDED),
        ("sys.exit(3)", "exit code 3"),
        ("while True: pass", r"the library computed for more than 0\.2 s"),
        (SLEEP, r"the library took more than 0\.4 s"),
        (f"x = b'1' * (64 << 20); {SLEEP}", r"the library took more than 33,\d\d\d,\d\d\d bytes of memory"),
        ("os.write(1, b'\\xff' * 8)", ENDED),
        ("os.write(1, (5).to_bytes(8, 'little') + b'[[[[['); sys.exit()", ENDED),
        ("send([])", ENDED),
        (f"send({BIG})", "claims to contain 4,000,000 bytes but has"),
        (f"send({ODD})", ENDED),
        ("send({'kind': 'published', 'layers': {}, 'arrays': [['a', '<f4', [-1]]]})", ENDED),
        ("send({'kind': 'published', 'layers': {}, 'arrays': [['a', '<f4', [2]]]}, b'1234'); sys.exit()", ENDED),
        ("send({'error': {'message': 'bad \\x1b[2J', 'hint': ''}})", r"bad \\x1b\[2J"),
    ],
)
def test_processes_that_end_badly(
    does: str, why: str, file: Path, process: Hdf5Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5_process, "CHILD", (sys.executable, "-c", f"{PRELUDE}\n{does}"))
    monkeypatch.setattr(hdf5_process, "CPU_S", 0.2)
    monkeypatch.setattr(hdf5_process, "SPARE_BYTES", 32 << 20)
    monkeypatch.setattr(hdf5_process, "WAIT_FACTOR", 2 if does == SLEEP else 200)
    with pytest.raises(WeightsError, match=why):
        process.read(file, MAX_TENSORS)


def test_a_process_that_does_not_start(file: Path, process: Hdf5Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_process, "CHILD", (sys.executable, "-c", "raise SystemExit(7)"))
    with pytest.raises(WorkerError, match="did not start: exit code 7"):
        process.read(file, MAX_TENSORS)


def test_one_process_reads_until_it_ends(file: Path, process: Hdf5Process) -> None:
    pids = []
    for _ in range(3):
        (array,) = process.read(file, MAX_TENSORS).arrays.values()
        np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3))
        assert process._process is not None
        pids.append(process._process.pid)
        if len(pids) == 2:
            os.kill(pids[-1], signal.SIGTERM)
            process._process.wait()
    assert pids[0] == pids[1] != pids[2]


def test_a_file_that_is_refused_ends_no_process(file: Path, process: Hdf5Process) -> None:
    process.read(file, MAX_TENSORS)
    before = process._process
    broken = file.with_name("broken.h5")
    broken.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="truncated"):
        process.read(broken, MAX_TENSORS)
    assert process._process is before is not None
    assert before.poll() is None


def absurd_name(file: Any) -> None:
    """A name of a layer that is a megabyte of numbers."""
    del file.attrs["layer_names"]
    variables = file.create_group("layers/conv2d/vars")
    variables["0"] = np.zeros(3, "f4")
    variables.attrs.create("name", np.zeros(5000, "f8"))


def empty_arrays(file: Any) -> None:
    for index in range(30):
        file.create_dataset(f"a/{index}", (0,), "f4")


@pytest.mark.parametrize(
    ("change", "why"), [(absurd_name, "the name of conv2d is not text"), (empty_arrays, "one of too many")]
)
def test_attacks(change: Callable[[Any], None], why: str, file: Path, process: Hdf5Process) -> None:
    with h5py.File(file, "r+") as opened:
        change(opened)
    with pytest.raises(WeightsError, match=why):
        process.read(file, 20)


def tree_in_itself(sound: Path) -> bytes:
    """The names of a large group lie in a tree; its root is its own child, and the library recurses until it dies."""
    with h5py.File(sound, "r+") as opened:
        for index in range(300):
            opened.create_group(f"{index}")
    whole = bytearray(sound.read_bytes())
    root = max(place for place in range(0, len(whole), 8) if whole[place : place + 6] == b"TREE\0\1")
    struct.pack_into("<Q", whole, root + 32, root)  # after the header of 24 bytes and a key
    return bytes(whole)


def test_a_crash_is_an_error(file: Path, process: Hdf5Process) -> None:
    whole = file.read_bytes()
    file.write_bytes(tree_in_itself(file))
    with pytest.raises(WeightsError, match=r"cannot read net\.h5: "):
        process.read(file, MAX_TENSORS)  # HDF5 1.14 crashes; a later one may refuse it
    file.write_bytes(whole)
    assert len(process.read(file, MAX_TENSORS).arrays) == 1


def test_damage_is_refused_or_read(file: Path, process: Hdf5Process) -> None:
    """Whatever the library does with a damaged file, the next one is read."""
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(20):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 4):
            data[place] = rng.integers(256)
        file.write_bytes(data)
        try:
            process.read(file, MAX_TENSORS)
        except WeightsError as error:
            assert "net.h5" in error.message  # noqa: PT017  not every file is refused
    file.write_bytes(whole)
    assert len(process.read(file, MAX_TENSORS).arrays) == 1
