"""Store the state of jobs in training, by the destination of the bundle and the job fingerprint.

A stopped job resumes when the same command is run again, by the user or by `torchrun`, and gives the same result. A
different job for the same bundle has its own folder, so that trying something else loses nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from lungfish.core.cache import cache_folder
from lungfish.core.errors import OutputError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_bytes, sha256_json
from lungfish.core.names import printable
from lungfish.core.own_files import RUNS, delete_own
from lungfish.core.space import make_room, try_folder_lock
from lungfish.job.dataset import Dataset
from lungfish.job.start import Start
from lungfish.runtime.measure import versions
from lungfish.training.checkpoint import JOB, check_same_job, read_job
from lungfish.training.recipe import Recipe

PACKAGES = ("lungfish", "numpy", "onnxruntime", "pillow", "torch", "torchvision")  # whose versions can change results


def job_fingerprint(
    dataset: Dataset, recipe: Recipe, starts: tuple[Start, Start | None], seed: int, device: str
) -> dict[str, str]:
    """Return the fingerprint of a job: the values, by name, that must be the same for a stopped job to resume.

    Args:
        dataset: Photos of the job.
        recipe: Recipe of the job.
        starts: Architecture and cached weights; and the weights of the last bundle, if the job may start from them.
        seed: Seed of the job.
        device: Device that the job runs on.
    """
    start, last = starts
    if recipe.full:
        recipe = replace(recipe, full=replace(recipe.full, workers=0))  # the number of workers changes no result
    return {
        "photos": dataset.ordered_fingerprint(),
        "recipe": recipe.to_toml(),
        "weights": start.entry.sha256,
        "last_weights": last.entry.sha256 if last else "",
        "flavour": json.dumps(asdict(start.entry.flavour)),
        "normalization": json.dumps({"mean": start.entry.mean, "std": start.entry.std}),
        "preprocess": json.dumps(start.preprocess.to_json()),
        "architecture": sha256_json(start.arch.to_json()),
        "seed": str(seed),
        "device": device.partition(":")[0],
        **versions(PACKAGES),
    }


def run_folder(target: Path, job: Mapping[str, str]) -> Path:
    """Return the folder of a job that makes the bundle `target`; it exists if the job was stopped during training."""
    return _runs(target) / sha256_json(dict(job))[:16]


def check_resumable(target: Path, job: Mapping[str, str]) -> None:
    """Raise `UsageError`, naming what changed, if a different job for `target` was stopped."""
    notes = sorted(_runs(target).glob(f"*/{JOB}"), key=lambda path: path.stat().st_mtime)
    if notes and (begun := read_job(notes[-1].parent)):
        check_same_job(begun, job)


def begin_run(folder: Path, job: Mapping[str, str]) -> None:
    """Write the fingerprint of a run. Raises `StorageError`."""
    write_atomic(folder / JOB, json.dumps(dict(job), indent=1))


def end_run(folder: Path) -> None:
    """Delete the state of a run, and trim the cache to its limit. Raises `StorageError`."""
    delete_own(folder, folder.parents[1])
    make_room(folder.parent, 0)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # unless it has another job for the same bundle


@contextmanager
def only_run(target: Path) -> Iterator[None]:
    """Run a block in which no other process trains for `target`.

    Raises:
        OutputError: Another process does.
        StorageError: The cache cannot be written.
    """
    with try_folder_lock(_runs(target)) as held:
        if not held:
            raise OutputError(
                f"another process is writing {printable(str(target))}",
                "Wait until it ends, or choose another output folder.",
            )
        yield


def _runs(target: Path) -> Path:
    return cache_folder() / RUNS / sha256_bytes(os.fsencode(target.absolute()))[:24]
