"""Runs killed at random moments and resumed come to the bits of a run that was left alone; 20 kills in all.

`benchmarks/kill.py` does the same to longer runs.
"""

import os
import random
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .warm_job import FINETUNE, FULL, WarmJob

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

TORN = re.compile(r"\..*\.tmp")
MOST_S = {"photos": 0.1, "activations": 0.1, "steps": 0.4, "checkpoint": 0.02}  # until the kill


@pytest.fixture
def new_jobs(write_digits: Callable[..., Path], tiny: Path, tmp_path: Path) -> Callable[[str], tuple[WarmJob, WarmJob]]:
    """Make one to be killed, and one to be left alone, with a cache that no killed process has touched."""
    photos = write_digits(tmp_path / "digits", count=16)
    killed, alone = (tmp_path / name / "job" for name in ("killed", "alone"))
    return lambda recipe: (WarmJob(killed, photos, tiny, recipe), WarmJob(alone, photos, tiny, recipe))


def test_finetune(new_jobs: Callable[[str], tuple[WarmJob, WarmJob]]) -> None:
    killed, alone = new_jobs(FINETUNE)
    chance = random.Random(0)
    for aim in ("photos", "activations", *("steps", "checkpoint") * 5):
        kill(killed, aim, chance)
    killed.finish()
    alone.finish()
    assert killed.created() == alone.created()


@pytest.mark.usefixtures("several_processes")
def test_full_with_and_without_workers(new_jobs: Callable[[str], tuple[WarmJob, WarmJob]]) -> None:
    killed, alone = new_jobs(FULL + "workers = 0\n")
    chance = random.Random(1)
    for number, aim in enumerate(("photos", *("steps", "checkpoint") * 3, "steps")):
        killed.recipe.write_text(FULL + f"workers = {2 if number in (1, 4) else 0}\n")
        kill(killed, aim, chance)
    killed.finish()
    alone.finish()
    assert killed.created() == alone.created()


def kill(job: WarmJob, aim: str, chance: random.Random) -> None:
    """Go on with a job, and kill it a random while after what is aimed at has begun."""
    begun = re.compile(rf"^{'(finetune|full)' if aim == 'steps' else aim}: [0-9]+ to do", re.MULTILINE)
    for _ in range(3):
        old, process = torn(job), job.start()
        while process.is_alive() and not (torn(job) - old if aim == "checkpoint" else begun.search(job.log)):
            time.sleep(0.001)
        time.sleep(chance.uniform(0, MOST_S[aim]))
        process.kill()
        if job.ended(process) == -signal.SIGKILL:
            return
        assert process.exitcode == 0, job.log  # the kills before had let it come to its end: it begins anew
    raise AssertionError(f"{aim} never came: {job.log}")


def torn(job: WarmJob) -> set[Path]:
    """Files that are being written, or were when a process was killed."""
    return {
        Path(folder, name) for folder, _, names in os.walk(job.cache / "runs") for name in names if TORN.match(name)
    }
