"""Ctrl-C and SIGTERM in the middle of a job: no half bundle, nothing lost of what is done, and the next run goes on."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.workflows.demo import write_digits

SMALL = "efficientnet_lite0:resolution=64"
CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


class Job:
    """A `lungfish train` in a process of its own, watched while it runs."""

    def __init__(self, photos: Path, bundle: Path, *options: str) -> None:
        self.bundle = bundle
        self.log = bundle.parent / "log"
        options = ("--arch", SMALL, "--recipe", "probe", *options)
        command = [sys.executable, "-m", "lungfish", "train", photos, "--out", bundle, *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)

    def printed(self, text: str) -> bool:
        return text in self.log.read_text()

    def staged(self, name: str) -> bool:
        """Whether the bundle in the making holds a file."""
        return any((stage / name).exists() for stage in self.bundle.parent.glob(f".{self.bundle.name}.*.tmp"))

    def stop_when(self, holds: Callable[[Job], bool], number: signal.Signals) -> None:
        """Send the signal once `holds`, and wait for the end that it must bring."""
        end = time.monotonic() + 120
        while not holds(self):
            assert self.process.poll() is None, f"it ended before that moment: {self.log.read_text()}"
            assert time.monotonic() < end, "the moment never came"
            time.sleep(0.01)
        self.process.send_signal(number)
        assert self.process.wait(60) == CODES[number], self.log.read_text()
        assert not self.printed("Traceback")
        assert not self.printed("error")


@pytest.fixture
def start() -> Iterator[Callable[..., Job]]:
    """Begin jobs that do not outlive the test."""
    jobs: list[Job] = []

    def call(*arguments: Any) -> Job:
        jobs.append(Job(*arguments))
        return jobs[-1]

    yield call
    for job in jobs:
        if job.process.poll() is None:
            job.process.kill()
            job.process.wait()


def test_while_the_head_is_fitted(trained: Any, start: Callable[..., Job], cache: Path, tmp_path: Path) -> None:
    shutil.copytree(trained.cache, cache)
    job = start(trained.photos, tmp_path / "bundle")
    job.stop_when(lambda job: job.printed("photos: 61 in"), signal.SIGTERM)
    assert {path.name for path in tmp_path.iterdir()} == {"log", "cache"}


def test_while_features_are_made_they_are_kept(
    start: Callable[..., Job], lungfish: Callable[..., Any], cache: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    write_digits(photos)
    job = start(photos, tmp_path / "bundle")
    job.stop_when(lambda _: any((cache / "features").glob("*/*.npy")), signal.SIGINT)
    assert {path.name for path in tmp_path.iterdir()} == {"log", "photos", "cache"}
    assert not list(cache.rglob("*.tmp"))
    ended = lungfish("train", photos, "--out", tmp_path / "bundle", "--arch", SMALL, "--dry-run", "--json")
    assert 100 < ended.json["cached"] <= 1797


def test_while_artifacts_are_made_and_the_next_run_ends_well(
    trained: Any, start: Callable[..., Job], cache: Path, tmp_path: Path, model_bytes: Callable[[Path], Any]
) -> None:
    shutil.copytree(trained.cache, cache)
    job = start(trained.photos, tmp_path / "bundle")
    job.stop_when(lambda job: job.staged("model.onnx"), signal.SIGTERM)
    assert {path.name for path in tmp_path.iterdir()} == {"log", "cache"}
    lf.train(trained.photos, tmp_path / "bundle", arch=SMALL, recipe="probe")
    assert model_bytes(tmp_path / "bundle") == model_bytes(trained.bundle)


def test_while_the_bundle_is_written_the_one_to_be_replaced_stays(
    trained: Any, start: Callable[..., Job], cache: Path, color_bundle: Path
) -> None:
    shutil.copytree(trained.cache, cache)
    job = start(trained.photos, color_bundle, "--force")
    job.stop_when(lambda job: job.staged("labels.txt"), signal.SIGINT)
    assert lf.load(color_bundle).labels == ("red", "green", "blue")
    assert {path.name for path in color_bundle.parent.iterdir()} == {"log", "cache", color_bundle.name}
