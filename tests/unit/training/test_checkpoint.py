"""Checkpoints are whole or none, whatever happens to their files."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lungfish.core.errors import StorageError, UsageError
from lungfish.training.checkpoint import Checkpoint, Checkpoints, check_same_job

JOB = {"photos": "abc", "recipe": "name = x\nepochs = 8\nbatch = 16\n"}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """Of a run that was stopped after 9 steps."""
    run = Checkpoints(tmp_path / "run", JOB)
    for step in (3, 6, 9):
        run.save(created(step))
    return run


def created(step: int) -> Checkpoint:
    return Checkpoint(step, {"weight": torch.full((1000,), float(step))}, {"history": [{"loss": 0.1 * step}]})


def newest(checkpoints: Checkpoints) -> int | None:
    saved = checkpoints.latest()
    if saved is None:
        return None
    expected = created(saved.step)
    assert torch.equal(saved.tensors["weight"], expected.tensors["weight"])
    assert saved.notes == expected.notes
    return saved.step


def names(checkpoints: Checkpoints) -> set[str]:
    return {path.name for path in checkpoints.folder.iterdir()}


def test_the_last_ones_stay(checkpoints: Checkpoints) -> None:
    assert newest(checkpoints) == 9
    files = {f"0000000{step}.{kind}" for step in (6, 9) for kind in ("json", "safetensors")}
    assert names(checkpoints) == {"job.json"} | files


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def swap_for_the_older(path: Path) -> None:
    shutil.copy(path.with_name(path.name.replace("9", "6")), path)


def write_a_list(path: Path) -> None:
    path.write_text("[1, 2]")


@pytest.mark.parametrize("spoil", [truncate, flip_a_bit, empty, swap_for_the_older, Path.unlink, write_a_list])
@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_what_is_torn_or_altered_is_passed_over(
    checkpoints: Checkpoints, kind: str, spoil: Callable[[Path], None]
) -> None:
    spoil(checkpoints.folder / f"00000009.{kind}")
    assert newest(checkpoints) == 6
    checkpoints.save(created(7))
    assert newest(checkpoints) == 7
    assert not [name for name in names(checkpoints) if name.startswith("00000009")]


def test_changed_notes_are_noticed(checkpoints: Checkpoints) -> None:
    path = checkpoints.folder / "00000009.json"
    row = json.loads(path.read_text())
    row["notes"]["history"][0]["loss"] = 0.0
    path.write_text(json.dumps(row))
    assert newest(checkpoints) == 6


def test_nothing_whole_is_nothing(checkpoints: Checkpoints) -> None:
    for path in checkpoints.folder.glob("*.safetensors"):
        truncate(path)
    assert checkpoints.latest() is None


@pytest.mark.parametrize("spoil", [truncate, empty, Path.unlink, write_a_list])
def test_without_a_word_of_what_it_is_of_a_run_counts_for_nothing(
    checkpoints: Checkpoints, spoil: Callable[[Path], None]
) -> None:
    spoil(checkpoints.folder / "job.json")
    assert checkpoints.latest() is None
    checkpoints.begin()
    assert names(checkpoints) == {"job.json"}  # they may be another job's


def test_what_a_kill_has_left_goes(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / ".00000011.safetensors.0123456789abcdef.tmp").write_bytes(b"torn")
    (checkpoints.folder / "00000012.safetensors").write_bytes(b"no notes")
    assert newest(checkpoints) == 9
    checkpoints.begin()
    assert newest(checkpoints) == 9
    checkpoints.save(created(12))
    assert sorted({name.partition(".")[0] for name in names(checkpoints)}) == ["00000009", "00000012", "job"]
    assert newest(checkpoints) == 12


def test_a_cache_that_was_emptied_fills_again(checkpoints: Checkpoints) -> None:
    shutil.rmtree(checkpoints.folder)
    checkpoints.save(created(12))
    assert newest(checkpoints) == 12


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_no_space(checkpoints: Checkpoints) -> None:
    import resource

    before = names(checkpoints)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # the tensors take 4000 bytes
    try:
        with pytest.raises(StorageError, match=r"cannot write .*00000012\.safetensors: File too large"):
            checkpoints.save(created(12))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(checkpoints) == before
    assert newest(checkpoints) == 9
    checkpoints.save(created(12))
    assert newest(checkpoints) == 12


@pytest.mark.parametrize(
    ("key", "now", "message"),
    [
        ("photos", "def", "photos changed (photos was abc, is def)"),
        ("recipe", "name = x\nepochs = 9\nbatch = 16\n", "recipe changed (recipe was epochs = 8, is epochs = 9)"),
        ("recipe", "name = x\nbatch = 16\n", "recipe changed (recipe was epochs = 8, is absent)"),
        ("lungfish", "2.0", "lungfish changed (lungfish was absent, is 2.0)"),
    ],
)
def test_another_job_is_told_from_this(checkpoints: Checkpoints, key: str, now: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Checkpoints(checkpoints.folder, JOB | {key: now}).latest()
    assert caught.value.message == f"the stopped job was a different one: {message}"
    assert "Leave --resume out" in caught.value.hint


def test_all_that_changed_is_named() -> None:
    with pytest.raises(UsageError, match="a different one: photos, recipe changed"):
        check_same_job({}, JOB)
