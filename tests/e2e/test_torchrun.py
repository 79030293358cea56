"""`lungfish train` under PyTorch's launcher: two processes make what one makes, and go on after one was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file

import lungfish as lf

from .warm_job import SHARED, stop_forkserver

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
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


class Job:
    """The command under PyTorch's launcher, as a person types it, with a cache of its own.

    Args:
        folder: for its recipe, cache, output and bundle; made.
        photos: to train on.
        weights: to start from.
        restarts: how often the launcher may start the processes again.
    """

    def __init__(self, folder: Path, photos: Path, weights: Path, restarts: int = 0) -> None:
        folder.mkdir()
        self.folder, self.cache, self.bundle = folder, folder / "cache", folder / "bundle"
        recipe = folder / "own.toml"
        recipe.write_text(SHARED + STEPS)
        options = ("--weights", weights, "--recipe", recipe, "--out", self.bundle, "--json")
        launcher = (*TORCHRUN, "--max-restarts", restarts)
        command = [sys.executable, *launcher, "-m", "lungfish", "train", photos, *options]
        environment = os.environ | {"LUNGFISH_CACHE": str(self.cache)} | ENVIRONMENT
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=err, env=environment)

    @property
    def said(self) -> str:
        return (self.folder / "err").read_text()

    def finish(self) -> Any:
        """What it prints, once its bundle is found whole, and nothing beside it; after errors of a restart, if any."""
        try:
            assert self.process.wait(120) == 0, self.said
        finally:
            self.process.terminate()  # the launcher ends what it has started
        assert self.said.count("Exporting and quantizing") == 1
        assert {path.name for path in self.folder.iterdir()} == {"own.toml", "cache", "out", "err", "bundle"}
        assert not list(self.cache.glob("runs/*"))
        *errors, result = values((self.folder / "out").read_text())
        assert len(errors) <= self.said.count(" failed (exitcode"), "of a process whose peer was killed"
        assert lf.load(self.bundle).manifest.test == result["test"]  # loading checks the hash of every file
        assert [row["kept"] for row in result["candidates"]] == [True, True, True], "what was trained must count"
        return result


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, write_digits: Callable[..., Path]) -> Path:
    return write_digits(tmp_path_factory.mktemp("photos") / "digits", count=16)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, photos: Path, tiny: Path) -> tuple[Job, Any]:
    """Two processes that nothing befell, and what they printed."""
    stop_forkserver()  # five processes are enough
    job = Job(tmp_path_factory.mktemp("two") / "job", photos, tiny)
    return job, job.finish()


def test_two_processes_make_what_one_makes(
    undisturbed: tuple[Job, Any], lungfish: Callable[..., Any], photos: Path, tiny: Path, tmp_path: Path
) -> None:
    pair, together = undisturbed
    recipe, bundle = pair.folder / "own.toml", tmp_path / "bundle"
    result = lungfish("train", photos, "--weights", tiny, "--recipe", recipe, "--out", bundle, "--json").json
    assert result["test"]["top1"] == together["test"]["top1"]
    assert [row["top1"] for row in result["epochs"]] == [row["top1"] for row in together["epochs"]]
    assert np.allclose(losses(result), losses(together), rtol=1e-4, atol=0)
    one, two = (load_file(folder / "weights.safetensors") for folder in (bundle, pair.bundle))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert np.abs(tensor - two[name]).max() <= 1e-4, name


def test_one_is_killed(
    photos: Path,
    tiny: Path,
    undisturbed: tuple[Job, Any],
    model_bytes: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    """The launcher starts both again; they go on, and end with the very bytes."""
    job = Job(tmp_path / "job", photos, tiny, restarts=1)
    end = time.monotonic() + 120
    while not list(job.cache.glob("runs/**/full/[0-9]*.json")):  # a checkpoint
        assert job.process.poll() is None, f"it ended before that moment: {job.said}"
        assert time.monotonic() < end, f"the moment never came: {job.said}"
        time.sleep(0.001)
    workers = psutil.Process(job.process.pid).children()
    next(worker for worker in workers if worker.environ()["RANK"] == "1").kill()
    result = job.finish()
    for once in ("finetune: goes on", "full: goes on", "finetune: epoch 1 of 2", "full: epoch 1 of 4"):
        assert job.said.count(once) == 1, job.said
    pair, together = undisturbed
    assert model_bytes(job.bundle) == model_bytes(pair.bundle)
    assert losses(result) == losses(together)


def losses(result: Any) -> list[tuple[float, float]]:
    return [(row["loss"], row["val_loss"]) for row in result["epochs"]]


def values(text: str) -> Iterator[Any]:
    """The JSON values of a text, one after the other."""
    while text:
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:].lstrip()
