"""Where a job is kept while it trains: by where its bundle goes, and by all that decides what it comes to.

A job that was stopped goes on when the same command is given again, by a person or by `torchrun`: what it comes to is
the same. Another job for the same bundle has a folder of its own, so that nothing is lost by trying something else.
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

PACKAGES = ("lungfish", "numpy", "onnxruntime", "pillow", "torch", "torchvision")  # that decide the bits


def job_fingerprint(
    dataset: Dataset, recipe: Recipe, starts: tuple[Start, Start | None], seed: int, device: str
) -> dict[str, str]:
    """What must be the same for a stopped job to go on, by name.

    Args:
        dataset: the photos.
        recipe: of the job.
        starts: the architecture and the weights, whose file is at hand; and what the last bundle learned, if that may
            be started from.
        seed: of the job.
        device: that it computes on.
    """
    start, last = starts
    if recipe.full:
        recipe = replace(recipe, full=replace(recipe.full, workers=0))  # how many makes no difference
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
    """The folder of a job that makes the bundle `target`; it is there if the job was stopped as it trained."""
    return _runs(target) / sha256_json(dict(job))[:16]


def check_resumable(target: Path, job: Mapping[str, str]) -> None:
    """Raise `UsageError`, which says what changed, if another job for `target` was stopped."""
    notes = sorted(_runs(target).glob(f"*/{JOB}"), key=lambda path: path.stat().st_mtime)
    if notes and (begun := read_job(notes[-1].parent)):
        check_same_job(begun, job)


def begin_run(folder: Path, job: Mapping[str, str]) -> None:
    """Write down what the run is of. Raises `StorageError`."""
    write_atomic(folder / JOB, json.dumps(dict(job), indent=1))


def end_run(folder: Path) -> None:
    """Delete what was kept, and what the cache has too much of. Raises `StorageError`."""
    delete_own(folder, folder.parents[1])
    make_room(folder.parent, 0)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # unless another job for the same bundle is there


@contextmanager
def only_run(target: Path) -> Iterator[None]:
    """A block in which this process alone trains for `target`.

    Raises:
        OutputError: another process is at it.
        StorageError: the cache cannot be written.
    """
    with try_folder_lock(_runs(target)) as held:
        if not held:
            raise OutputError(
                f"another process is writing {printable(str(target))}",
                "Wait until it ends, or choose another --out.",
            )
        yield


def _runs(target: Path) -> Path:
    return cache_folder() / RUNS / sha256_bytes(os.fsencode(target.absolute()))[:24]
