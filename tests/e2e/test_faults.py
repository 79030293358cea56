"""What may befall a run that trains: it ends with a clear word, and goes on later to the bits of one left alone."""

import csv
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from .warm_job import FINETUNE, FULL, WarmJob

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")

NewJob = Callable[..., WarmJob]
WITHOUT, WITH_ONE, WITH_TWO = (FULL + f"workers = {count}\n" for count in range(3))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, write_digits: Callable[..., Path], tiny: Path) -> WarmJob:
    """A run that nothing befell."""
    folder = tmp_path_factory.mktemp("alone")
    job = WarmJob(folder / "job", write_digits(folder / "digits", count=16), tiny, WITHOUT)
    job.finish()
    return job


@pytest.fixture
def photos(write_digits: Callable[..., Path], tmp_path: Path) -> Path:
    return write_digits(tmp_path / "digits", count=16)


@pytest.fixture
def new_job(photos: Path, tiny: Path, tmp_path: Path) -> Callable[..., WarmJob]:
    """Make a job on `photos` that has not begun, from a recipe; its name is that of its folder."""
    return lambda recipe, name="job": WarmJob(tmp_path / name, photos, tiny, recipe)


def trained(alone: WarmJob, photos: Path) -> Path:
    """A photo that is trained on."""
    with (alone.bundle / "photos.csv").open(newline="", encoding="utf-8") as file:
        return next(photos / row["file"] for row in csv.DictReader(file) if row["split"] == "train")


@pytest.mark.usefixtures("several_processes")
def test_signals_end_it_quietly_with_its_workers(alone: WarmJob, new_job: NewJob, every_case: bool) -> None:
    job = new_job(WITH_ONE)
    shutil.copytree(alone.bundle, job.bundle)
    before = (job.bundle / "bundle.json").read_bytes()
    signals: tuple[tuple[Callable[[], Any], Callable[[int, int], None], int, int], ...] = (
        (job.start_cold, os.killpg, signal.SIGINT, 130),  # Ctrl-C in a terminal
        (job.start, os.killpg, signal.SIGTERM, 75),  # a service that is stopped
        (job.start, os.kill, signal.SIGTERM, 75),
    )
    for start, send, number, code in signals if every_case else signals[:2]:
        process = start()
        job.wait(process, lambda: re.search("^full: [0-9]+ to do", job.log, re.MULTILINE))
        workers = psutil.Process(process.pid).children(recursive=True)
        assert [each for each in workers if is_worker(each)]
        send(process.pid, number)
        assert job.ended(process) == code, job.log
        assert job.log.endswith("\nstopped: run the same command again to resume\n")
        assert not [line for line in job.log.splitlines() if "rror" in line or "Traceback" in line or "arning" in line]
        check_ended(workers)
        assert (job.bundle / "bundle.json").read_bytes() == before
    job.recipe.write_text(WITHOUT)  # which has the same bits
    job.finish()
    assert (job.bundle / "bundle.json").read_bytes() != before
    assert job.created() == alone.created()


@pytest.mark.usefixtures("several_processes")
def test_a_worker_dies(alone: WarmJob, new_job: NewJob) -> None:
    job = new_job(WITH_TWO)
    process = job.start()
    job.wait(process, lambda: "full: epoch 1" in job.log)
    workers = [each for each in psutil.Process(process.pid).children() if is_worker(each)]
    assert len(workers) == 2
    workers[0].kill()
    assert job.ended(process) == 3
    assert "\nerror: a process that loads photos died" in job.log
    assert "Traceback" not in job.log
    check_ended(workers)
    job.recipe.write_text(WITHOUT)  # as the hint says
    job.finish()
    assert job.created() == alone.created()


def test_a_photo_goes_and_changes(photos: Path, alone: WarmJob, new_job: NewJob) -> None:
    job, victim = new_job(WITHOUT), trained(alone, photos)
    data, another = victim.read_bytes(), next(path for path in photos.rglob("*.png") if path != victim).read_bytes()
    for now, reason in ((None, "no such file"), (another, "it has changed since it was first read")):
        process = job.start()
        job.wait(process, lambda: "full: epoch" in job.log)
        victim.unlink()
        if now:
            victim.write_bytes(now)
        assert job.ended(process) == 1
        assert f"\nerror: {victim.relative_to(photos)}: {reason}\nPut it back and run the same command again" in job.log
        assert job.ended(job.start()) == 2  # without it the job would be another
        assert "error: the stopped job was a different one: photos changed" in job.log
        victim.write_bytes(data)
    job.finish()
    assert job.created() == alone.created()


def test_no_space_for_a_checkpoint(alone: WarmJob, new_job: NewJob) -> None:
    job = new_job(WITHOUT)
    process = job.start()
    job.wait(process, lambda: list(job.cache.glob("runs/*/*/full/[0-9]*.json")))
    process.kill()
    job.ended(process)
    before = checkpoints(job)
    one_megabyte = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (1 << 20, r.RLIM_INFINITY))"
    assert job.ended(job.start(one_megabyte)) == 3
    assert f"\nerror: cannot write {job.cache}" in job.log
    assert "File too large" in job.log
    assert checkpoints(job).items() >= before.items()
    job.finish()
    assert job.created() == alone.created()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space is not taken ahead here")
def test_no_space_for_activations(new_job: NewJob) -> None:
    job = new_job(FINETUNE)
    full = "import errno, os\ndef full(*_): raise OSError(errno.ENOSPC, 'full')\nos.posix_fallocate = full"
    assert job.ended(job.start(full)) == 3
    assert f"\nerror: no space left while writing {job.cache / 'activations'}" in job.log
    assert not list(job.cache.rglob("array.npy"))
    job.finish()


def test_two_at_once(alone: WarmJob, new_job: NewJob) -> None:
    first, second = (new_job(WITHOUT, name) for name in ("first", "second"))
    second.arguments[second.arguments.index("--out") + 1] = str(first.bundle)
    process = first.start()
    first.wait(process, lambda: "full: " in first.log)
    assert second.ended(second.start()) == 2
    assert second.log.splitlines()[1] == f"error: another process is writing {first.bundle}"
    assert first.ended(process) == 0, first.log
    assert first.created() == alone.created()


def test_the_notes_of_another_run(new_job: NewJob) -> None:
    """Another job is refused with --resume, and without it lies beside; what cannot be read counts for nothing."""
    job = new_job(FINETUNE)
    for recipe in (FINETUNE, FINETUNE.replace("epochs = 5", "epochs = 6")):
        job.recipe.write_text(recipe)
        process = job.start()
        if recipe == FINETUNE:
            job.wait(process, lambda: list(job.cache.glob("runs/*/*/finetune/job.json")))
            process.kill()
        job.ended(process)
    assert process.exitcode == 2
    assert "recipe changed (recipe was epochs = 5, is epochs = 6)" in job.log
    notes = next(job.cache.glob("runs/*/*/finetune/job.json"))
    assert json.loads(notes.read_text())["seed"] == "0"
    notes.write_bytes(notes.read_bytes()[:40])
    job.arguments.remove("--resume")
    assert job.ended(job.start()) == 0, job.log
    assert "finetune: resuming" not in job.log
    assert notes.exists()  # the job with five epochs may go on another day


def checkpoints(job: WarmJob) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in job.cache.glob("runs/*/*/*/[0-9]*")}


def is_worker(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())


def check_ended(processes: list[Any]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
