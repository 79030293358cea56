"""Watching a job and stopping it, from Python."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.core.events import Event

# The probe is made bad on purpose: epochs improve on it, so that their weights are what comes out.
RECIPE = """
few_photos = 0
cross_validate_below = 0
calibration_photos = 8
penalties = [1e6]

[finetune]
views = 2
flips = false
epochs = 4
batch_size = 8
learning_rate = 3e-4
tail_share = 0.8
"""
FILES = ("model.onnx", "model-int8.onnx", "weights.safetensors")
Train = Callable[..., lf.TrainResult]


@pytest.fixture
def train(cache: Path, tiny: Path, write_digits: Callable[..., Path], tmp_path: Path) -> Train:
    """Train on the same few photos by the same recipe."""
    photos, recipe = write_digits(tmp_path / "digits", count=10), tmp_path / "own.toml"
    recipe.write_text(RECIPE)

    def call(out: str, **options: Any) -> lf.TrainResult:
        return lf.train(photos, tmp_path / out, weights=str(tiny), recipe=str(recipe), **options)

    return call


def created(result: lf.TrainResult) -> list[bytes]:
    return [(result.folder / name).read_bytes() for name in FILES]


def test_a_job_that_another_thread_stops_resumes_to_the_same_bytes(train: Train, tmp_path: Path) -> None:
    events: list[Event] = []
    whole = train("whole", on_event=events.append)
    assert [candidate.kept for candidate in whole.candidates] == [True, True]
    epochs = [event for event in events if isinstance(event, lf.EpochEnded)]
    assert [(event.stage, event.epoch, event.val_loss) for event in epochs] == [
        (row["stage"], row["epoch"], row["val_loss"]) for row in whole.epochs
    ]
    stages = ([event.stage for event in events if type(event) is kind] for kind in (lf.StageStarted, lf.StageEnded))
    started, ended = stages
    assert started == ended
    assert (started[0], started[-2:]) == ("photos", ["finetune", "Measuring the artifacts"])
    last = {event.stage: event for event in events if isinstance(event, lf.StageEnded)}
    assert all(event.completed and event.done == event.total for event in last.values())

    stop, seen = lf.StopToken(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(
            train, "stopped", stop=stop, on_event=lambda event: seen.set() if isinstance(event, lf.EpochEnded) else None
        )
        assert seen.wait(60)
        stop.stop()
        with pytest.raises(lf.StoppedError, match="was stopped on request"):
            job.result(60)
    assert not (tmp_path / "stopped").exists()
    resumed: list[Event] = []
    result = train("stopped", on_event=resumed.append)
    finetune = next(event for event in resumed if isinstance(event, lf.StageStarted) and event.stage == "finetune")
    assert finetune.done > 0
    assert created(result) == created(whole)


def test_an_error_of_the_caller_stops_the_job_and_is_raised(train: Train, tmp_path: Path) -> None:
    """Of a kind that the job itself would handle: it is not taken for one of its own."""
    events: list[Event] = []
    cause = OSError("the window was closed")

    def fail(event: Event) -> None:
        events.append(event)
        if isinstance(event, lf.EpochEnded):
            raise lf.LungfishError("cannot draw") from cause

    with pytest.raises(lf.LungfishError, match="cannot draw") as caught:
        train("failed", on_event=fail)
    assert caught.value.__cause__ is cause
    assert isinstance(events[-1], lf.EpochEnded)  # nothing more is told to whom it fails
    assert not (tmp_path / "failed").exists()


def test_progress_shows_what_the_command_shows_until_a_job_is_stopped(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = lf.StopToken()
    stop.stop()
    with pytest.raises(lf.StoppedError):
        train("stopped", stop=stop, progress=True)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "photos: 30 to do\n")
    assert not (tmp_path / "stopped").exists()


def test_the_cache_obeys_the_job_and_the_environment_stays(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "10")
    with pytest.raises(lf.LungfishError, match="cache_gb is nan; it must be a positive number"):
        train("limited", cache_gb=math.nan)
    _, finetune = train("limited", cache_gb=1e-6).candidates  # a thousand bytes
    assert finetune.why.startswith("skipped: activations take ")
    assert os.environ["LUNGFISH_CACHE_GB"] == "10"


def test_the_command_writes_events_as_json(
    lungfish: Callable[..., Any], cache: Path, tiny: Path, write_digits: Callable[..., Path], tmp_path: Path
) -> None:
    photos = write_digits(tmp_path / "digits", count=6)
    arguments = ("train", photos, "--weights", tiny, "--dry-run", "--progress")
    ended = lungfish(*arguments, "json")
    assert ended.code == 0
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert events[0] == {"event": "logged", "text": f"Reading photos from {photos}"}
    assert events[1] == {"event": "stage_started", "stage": "photos", "total": 18, "done": 0}
    assert events[-1].keys() == {"event", "stage", "total", "done", "seconds", "completed"}
    assert lungfish(*arguments, "none").err == ""
    ended = lungfish(*arguments, "jsno")
    assert (ended.code, ended.err) == (2, "error: unknown progress format: 'jsno'\nDid you mean json?\n")
