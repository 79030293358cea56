"""`lungfish train` under PyTorch's launcher: two processes make what one makes, and go on after one was killed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
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
batch_size = 8
tail_share = 0.8
optimizer = "sgd"  # which, unlike AdamW, tells gradients from their multiples
learning_rate = 1e-4

[full]
flips = false
epochs = 4
batch_size = 8
learning_rate = 2e-3
ema_decay = 0.9
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
    tmp_path_factory: pytest.TempPathFactory,
    photos: Path,
    tiny: Path,
    process_lock: AbstractContextManager[object],
    rank_variables: Callable[[], list[dict[str, str]]],
) -> WarmJob:
    """A job of two processes that ran without interruption."""
    job = WarmJob(tmp_path_factory.mktemp("two") / "job", photos, tiny, SHARED + STEPS)
    with process_lock:
        preludes = [f"os.environ.update({variables | ENVIRONMENT})" for variables in rank_variables()]
        ranks = [job.start(prelude) for prelude in reversed(preludes)]  # the log is that of the last, rank 0
        assert [job.ended(process) for process in ranks] == [0, 0], job.log
    stop_forkserver()  # the launcher of the next test needs the memory
    check(job)
    assert job.log.count("* the default; every figure is measured on the file itself, with 6 test photos") == 1
    return job


def check(job: WarmJob) -> None:
    """The job finished once, only one process reported it, both steps were kept, and nothing is left behind."""
    assert job.log.count("Exporting and quantizing") == 1
    assert not list(job.cache.glob("runs/*"))
    assert {path.name for path in job.bundle.parent.iterdir()} == {"own.toml", "log", "bundle"}
    lf.load(job.bundle)  # checks the hash of every file
    assert {row["stage"] for row in job.epochs()} == {"finetune", "full"}
    for step in ("finetune", "full"):
        assert re.search(rf"^{step}: kept\. Epoch \d of \d", job.log, re.MULTILINE), job.log


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


@pytest.mark.usefixtures("on_demand", "several_processes")
def test_one_is_killed(pair: WarmJob, photos: Path, tiny: Path, tmp_path: Path) -> None:
    """PyTorch's launcher restarts both; they resume, and produce the same bytes as an uninterrupted job."""
    job = WarmJob(tmp_path / "killed" / "job", photos, tiny, SHARED + STEPS)
    job.arguments.append("--json")
    launcher = job.start_cold(LAUNCHER, ENVIRONMENT, tmp_path / "out")
    try:
        job.wait(launcher, lambda: list(job.cache.glob("runs/**/full/[0-9]*.json")))  # a checkpoint
        workers = psutil.Process(launcher.pid).children()
        next(worker for worker in workers if worker.environ()["RANK"] == "1").kill()
        assert job.ended(launcher) == 0, job.log
    finally:
        launcher.terminate()  # which stops its workers
    for line in ("finetune: resuming", "full: resuming", "finetune: epoch 1 of 2", "full: epoch 1 of 4"):
        assert job.log.count(line) == 1, job.log
    check(job)
    *errors, result = values((tmp_path / "out").read_text())
    assert len(errors) <= job.log.count(" failed (exitcode"), "only the process whose peer was killed reports an error"
    assert lf.load(job.bundle).manifest.test == result["test"]
    assert [row["kept"] for row in result["candidates"]] == [True, True, True]
    assert job.created() == pair.created()


def losses(rows: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(row["loss"], row["val_loss"]) for row in rows]


def values(text: str) -> Iterator[Any]:
    """The JSON values in a text that holds nothing else."""
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:].lstrip()
