"""Ctrl-C and SIGTERM in the middle of a job: no half bundle, nothing lost of what is done, and the next run goes on."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf

from .warm_job import WarmJob, signal_at

PROBE = ""  # a recipe that names nothing
CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def job(trained: Any, tmp_path: Path) -> WarmJob:
    """The job that made `trained`, to be run again."""
    return WarmJob(tmp_path / "job", trained.photos, trained.weights, PROBE)


@pytest.fixture
def cached(trained: Any, cache: Path) -> None:
    """The features of `trained` are in the cache."""
    shutil.copytree(trained.cache, cache)


def stop_at(job: WarmJob, module: str, function: str, number: signal.Signals, call: int = 1) -> None:
    """Run a job that gets a signal as it calls a function; it must end quietly, with the code of the signal."""
    assert job.ended(job.start(signal_at(module, function, number, call))) == CODES[number], job.log
    assert "Traceback" not in job.log
    assert "error" not in job.log


@pytest.mark.usefixtures("cached")
def test_while_the_head_is_fitted(job: WarmJob) -> None:
    stop_at(job, "lungfish.job.stages.head", "fit_probe", signal.SIGTERM)
    assert "Fitting the head" in job.log
    assert {path.name for path in job.bundle.parent.iterdir()} == {"own.toml", "log"}


def test_while_features_are_made_they_are_kept(
    tiny: Path, lungfish: Callable[..., Any], write_digits: Callable[..., Path], cache: Path, tmp_path: Path
) -> None:
    photos = write_digits(tmp_path / "photos", count=100)
    job = WarmJob(tmp_path / "job", photos, tiny, PROBE)
    stop_at(job, "lungfish.training.trunk", "OnnxTrunk.__call__", signal.SIGINT, call=8)
    assert {path.name for path in job.bundle.parent.iterdir()} == {"own.toml", "log"}
    assert list((cache / "features").glob("*/*.npy"))
    assert not list(cache.rglob("*.tmp"))
    ended = lungfish("train", photos, "--out", tmp_path / "bundle", "--weights", tiny, "--dry-run", "--json")
    assert 100 < ended.json["cached"] < 300


@pytest.mark.usefixtures("cached")
def test_while_artifacts_are_made_and_the_next_run_ends_well(
    trained: Any, job: WarmJob, model_bytes: Callable[[Path], Any]
) -> None:
    stop_at(job, "lungfish.job.bundle.export", "quantize_int8", signal.SIGTERM)
    assert "Exporting and quantizing" in job.log
    assert {path.name for path in job.bundle.parent.iterdir()} == {"own.toml", "log"}
    assert job.ended(job.start()) == 0, job.log
    assert model_bytes(job.bundle) == model_bytes(trained.bundle)


@pytest.mark.usefixtures("cached")
def test_while_the_bundle_is_written_the_one_to_be_replaced_stays(job: WarmJob, color_bundle: Path) -> None:
    shutil.copytree(color_bundle, job.bundle)
    stop_at(job, "lungfish.job.bundle.write", "render_report", signal.SIGINT)
    assert lf.load(job.bundle).labels == ("red", "green", "blue")
    assert {path.name for path in job.bundle.parent.iterdir()} == {"own.toml", "log", "bundle"}
