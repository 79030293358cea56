"""`lungfish train` under PyTorch's launcher: two processes make what one makes, and go on after one was killed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

import lungfish as lf

from .warm_job import SHARED, WarmJob, stop_forkserver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs libuv on Windows, which has no SIGKILL")

STEPS = """
[finetune]
views = 1
flips = false
epochs = 2
batch = 8
tail_share = 0.8
optimizer = "sgd"  # which, unlike AdamW, tells gradients from their multiples
learning_rate = 1e-4

[full]
flips = false
epochs = 4
batch = 8
learning_rate = 2e-3
average = 0.9
"""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    # a store for each start: in the one that they share else, processes find addresses of those before them
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, write_digits: Callable[..., Path]) -> Path:
    return write_digits(tmp_path_factory.mktemp("photos") / "digits", count=16)


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, photos: Path, tiny: Path, process_lock: AbstractContextManager[object]
) -> WarmJob:
    """A job of two processes that nothing befell."""
    job = WarmJob(tmp_path_factory.mktemp("two") / "job", photos, tiny, SHARED + STEPS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    with process_lock:
        ranks = [job.start(join(shared | {"RANK": rank, "LOCAL_RANK": rank})) for rank in "10"]
        assert [job.ended(process) for process in ranks] == [0, 0], job.log
    stop_forkserver()  # the next job brings its own processes
    check(job)
    return job


def join(variables: dict[str, str]) -> str:
    """Return a prelude: the process belongs to a group, as with these variables of torchrun's."""
    return f"os.environ.update({variables | ENVIRONMENT})"


def check(job: WarmJob) -> None:
    """It came to its end once, one process spoke, each step counts, and nothing is left behind."""
    assert job.log.count("Exporting and quantizing") == 1
    assert job.log.count("* the default; figures on 6 test photos") == 1
    assert not list(job.cache.glob("runs/*"))
    assert {path.name for path in job.bundle.parent.iterdir()} == {"own.toml", "log", "bundle"}
    lf.load(job.bundle)  # checks the hash of every file
    assert {row["step"] for row in job.epochs()} == {"finetune", "full"}, "what was trained must count"


def test_two_processes_make_what_one_makes(
    pair: WarmJob, lungfish: Callable[..., Any], photos: Path, tiny: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    result = lungfish("train", photos, "--weights", tiny, "--recipe", pair.recipe, "--out", bundle, "--json").json
    assert result["test"]["top1"] == lf.load(pair.bundle).manifest.test["top1"]
    assert [row["top1"] for row in result["epochs"]] == [row["top1"] for row in pair.epochs()]
    assert np.allclose(losses(result["epochs"]), losses(pair.epochs()), rtol=1e-4, atol=0)
    one, two = (load_file(folder / "weights.safetensors") for folder in (bundle, pair.bundle))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert np.abs(tensor - two[name]).max() <= 1e-4, name


@pytest.mark.usefixtures("several_processes")
def test_one_is_killed(pair: WarmJob, photos: Path, tiny: Path, tmp_path: Path) -> None:
    """PyTorch's launcher starts both again; they go on, and end with the very bytes."""
    job = WarmJob(tmp_path / "killed" / "job", photos, tiny, SHARED + STEPS)
    launcher = job.start_cold(LAUNCHER, ENVIRONMENT)
    job.wait(launcher, lambda: list(job.cache.glob("runs/**/full/[0-9]*.json")))  # a checkpoint
    workers = psutil.Process(launcher.pid).children()
    next(worker for worker in workers if worker.environ()["RANK"] == "1").kill()
    assert job.ended(launcher) == 0, job.log
    for once in ("finetune: goes on", "full: goes on", "finetune: epoch 1 of 2", "full: epoch 1 of 4"):
        assert job.log.count(once) == 1, job.log
    check(job)
    assert job.made() == pair.made()


def losses(rows: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(row["loss"], row["val_loss"]) for row in rows]
