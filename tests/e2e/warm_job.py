"""`lungfish train` in processes that begin with their imports done, so that a test may start, stop and kill many."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lungfish.core.cache import FOLDER

# The probe is made bad on purpose: epochs improve on it, so that their weights are what comes out.
SHARED = "few_photos = 0\ncross_validate_below = 0\ncalibration_photos = 8\npenalties = [1e6]\n"
TAIL = "tail_share = 0.8\n"  # most of the blocks of the tiny network; by default it would be its head alone
FINETUNE = SHARED + "[finetune]\nviews = 3\nflips = false\nepochs = 5\nbatch_size = 8\nlearning_rate = 3e-4\n" + TAIL
FULL = (
    SHARED
    + "[full]\nflips = false\nepochs = 4\nbatch_size = 8\nlearning_rate = 1e-3\npolicy = 'trivial'\nmixup = 0.2\n"
)
MODEL_FILES = ("weights.safetensors", "model.onnx", "model-int8.onnx")
IMPORTS = [
    "lungfish.workflows.train",
    "lungfish.cli.app",
    "torch",
    "torchvision",
    "onnx",
    "onnxruntime",
    "sklearn.linear_model",
]
COMMAND = """
import gc, os, sys
gc.freeze()
os.setsid()  # a process group of its own, as from a shell
os.environ["LUNGFISH_CACHE"] = cache
for stream in (1, 2):
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
from lungfish.cli.app import main
from lungfish.data.loading import activations as views
from lungfish.runtime import measure
from lungfish.training import saving
saving.EVERY_S, saving.SHARE, views.FLUSH_EVERY_S = 0.1, 0.5, 0.0
measure.MOST_RUNS = measure.LEAST_RUNS
exec(prelude)
sys.argv[1:] = arguments
main()
"""
SIGNAL_AT_CALL = """
import importlib, os
owner = importlib.import_module({module!r})
for name in {classes!r}:
    owner = getattr(owner, name)
original, calls = getattr(owner, {function!r}), []
def signalled(*arguments, original=original, calls=calls, **options):
    calls.append(1)
    if len(calls) == {call}:
        os.kill(os.getpid(), {number})
    return original(*arguments, **options)
setattr(owner, {function!r}, signalled)
"""


def signal_at(module: str, name: str, number: signal.Signals, call: int = 1) -> str:
    """Return a prelude: the process gets a signal as it calls a function, say `Class.method`, for the nth time."""
    *classes, function = name.split(".")
    return SIGNAL_AT_CALL.format(module=module, classes=classes, function=function, call=call, number=int(number))


def stop_forkserver() -> None:
    """Stop the process that jobs are forked from, which frees its memory; the next job starts another."""
    forkserver._forkserver._stop()


class WarmJob:
    """A job in as many processes as it takes; its cache is `cache` beside `folder`, as `tmp_path` has it.

    Args:
        folder: for its recipe, log and bundle; made, with its parents.
        photos: to train on.
        weights: to start from; see `tests/tiny.py`.
        recipe: as TOML.
    """

    def __init__(self, folder: Path, photos: Path, weights: Path, recipe: str) -> None:
        folder.mkdir(parents=True)
        self.cache = folder.parent / "cache" / FOLDER
        self.recipe, self.bundle, self.log_file = folder / "own.toml", folder / "bundle", folder / "log"
        self.recipe.write_text(recipe)
        options = ["--weights", weights, "--recipe", self.recipe, "--out", self.bundle, "--resume", "--force"]
        self.arguments = list(map(str, ["train", photos, *options]))
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["__main__", *IMPORTS])

    @property
    def log(self) -> str:
        """What the newest process has printed."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def start(self, prelude: str = "") -> BaseProcess:
        """Begin the job, or go on with it, after some Python."""
        self.log_file.unlink(missing_ok=True)
        names = {
            "arguments": self.arguments,
            "cache": str(self.cache.parent),
            "log": str(self.log_file),
            "prelude": prelude,
        }
        process = self.context.Process(target=exec, args=(COMMAND, names))
        process.start()
        return process

    def start_cold(
        self, launcher: Sequence[str] = (), variables: Mapping[str, str] = MappingProxyType({}), out: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start or resume the job in a new interpreter, as a user would.

        Args:
            launcher: arguments of Python that launch the job, such as `-m torch.distributed.run`.
            variables: added to the environment.
            out: where stdout goes; with stderr into the log if None.
        """
        command = [sys.executable, *launcher, "-m", "lungfish", *self.arguments]
        env = os.environ | {"LUNGFISH_CACHE": str(self.cache.parent)} | variables
        with self.log_file.open("wb") as log, (out or self.log_file).open("ab") as stdout:
            return subprocess.Popen(command, stdout=stdout, stderr=log, env=env, process_group=0)

    def wait(self, process: BaseProcess | subprocess.Popen[bytes], moment: Callable[[], object]) -> None:
        """For a moment in the life of a process."""
        end = time.monotonic() + 120
        while not moment():
            runs = process.is_alive() if isinstance(process, BaseProcess) else process.poll() is None
            assert runs, f"it ended before that moment: {self.log}"
            assert time.monotonic() < end, f"the moment never came: {self.log}"
            time.sleep(0.001)

    def ended(self, process: BaseProcess | subprocess.Popen[bytes]) -> int:
        """The exit code."""
        if isinstance(process, subprocess.Popen):
            return process.wait(120)
        process.join(120)
        assert process.exitcode is not None, self.log
        return process.exitcode

    def finish(self) -> None:
        """Go on to the end, which must be good."""
        assert self.ended(self.start()) == 0, self.log
        assert re.search(r"^(finetune|full): kept\. Epoch", self.log, re.MULTILINE), "what was trained must count"
        assert not list(self.cache.glob("runs/*"))

    def epochs(self) -> list[dict[str, Any]]:
        """The rows of `training.jsonl`."""
        return [json.loads(line) for line in (self.bundle / "training.jsonl").read_text().splitlines()]

    def created(self) -> tuple[dict[str, bytes], list[tuple[float, float]]]:
        """What must be the same however often a run is resumed: the model's files, and each epoch's losses."""
        rows = self.epochs()
        for _, epochs in groupby(rows, lambda row: row["stage"]):
            numbers = [row["epoch"] for row in epochs]
            assert numbers == list(range(len(numbers)))
        files = {name: (self.bundle / name).read_bytes() for name in MODEL_FILES}
        return files, [(row["loss"], row["val_loss"]) for row in rows]
