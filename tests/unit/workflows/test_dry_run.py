"""What a dry run prints, and what it does not time."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungfish.core import request
from lungfish.core.errors import DownloadError
from lungfish.core.progress import Progress
from lungfish.data.photos import SkippedFile
from lungfish.data.split.problems import Problem
from lungfish.job.spec import Job
from lungfish.training.recipe import RECIPES
from lungfish.workflows import dry_run as module
from lungfish.workflows.dry_run import JobPlan
from lungfish.workflows.train import train

FEW = Problem("too_few", "'one' has 1 photo", ("one",), stops=True, rule="each needs two", fix="Add some.")
UNTIMED = "(fewer than 500 training photos)"
MINUTES = "the job is limited to about 10 min"
TYPO = Problem("typo", "class 'a\x1bb' is a typo?", ("a\x1bb",))


def plan(*problems: Problem, skipped: int = 0, seconds: float | None = 9.4) -> JobPlan:
    return JobPlan(
        bundle="photos-bundle",
        arch="tiny",
        weights="tiny.in1k",
        recipe="auto",
        classes={"one": {"train": 1, "val": 0, "test": 0}},
        counts={"train": 1, "val": 0, "test": 0},
        skipped=(SkippedFile("x.jpg", "empty file"),) * skipped,
        leaks=(),
        warnings=(),
        problems=problems,
        cached=0,
        steps=("finetune: about 2 s",),
        estimate_seconds=seconds,
    )


def test_problems_of_one_kind_share_their_advice() -> None:
    lines = str(plan(FEW, FEW, TYPO, seconds=None))
    assert (
        "problems\n"
        "  STOPS    'one' has 1 photo\n"
        "  STOPS    'one' has 1 photo\n"
        "           Each needs two.\n"
        "           Add some.\n"
        "  warning  class 'a\\x1bb' is a typo?\n"
    ) in lines
    assert lines.endswith("The job would stop here; nothing would be trained.")
    assert plan(FEW).stops
    assert not plan(TYPO).stops


def test_a_class_with_too_few_photos_is_named_once() -> None:
    few = Problem(
        "too_few", "'snadals' has 1 photo; the minimum is 3. Did you mean 'sandals'?", ("snadals",), stops=True
    )
    typo = Problem("typo", "class 'snadals' has 1 photo; is that a typo?", ("snadals", "sandals"))
    assert str(plan(few, typo, TYPO)).count("snadals") == 1
    assert "class 'a\\x1bb' is a typo?" in str(plan(few, typo, TYPO))


def test_a_sound_folder() -> None:
    lines = str(plan())
    assert "\nNo problems found.\n" in lines
    assert lines.endswith("takes about 9 s on this machine\nwrites photos-bundle")
    assert "more; --json lists all" not in lines


def test_folders_that_may_be_the_classes_are_a_problem(
    lungfish: Callable[..., Any], write_digits: Callable[..., Path], tiny: Path, tmp_path: Path
) -> None:
    photos = write_digits(tmp_path / "photos", ("summer/shoes", "winter/pants"), count=8)
    outcome = lungfish("train", photos, "--weights", tiny, "--out", tmp_path / "bundle", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert (
        "\n  warning  the classes are the top-level folders: summer, winter. If you mean the folders in" in outcome.out
    )


def test_many_skipped_files_stay_short() -> None:
    lines = str(plan(skipped=1000))
    assert lines.count("skipped: x.jpg: empty file") == module.SKIPPED_SHOWN
    assert "skipped: 980 more; --json lists all" in lines


@pytest.mark.parametrize(
    ("recipe", "train", "lines"),
    [
        (
            "auto",
            499,
            (f"The estimate leaves out finetune, full {UNTIMED}; {MINUTES}",),
        ),
        ("finetune", 499, (f"The estimate leaves out finetune {UNTIMED}",)),
        ("auto", 500, ("timed",)),
        ("probe", 30, ("timed",)),
        ("scratch", 30, ("timed",)),
    ],
)
def test_few_photos_are_not_timed(
    recipe: str, train: int, lines: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pretrained weights there is nothing but the training to time."""
    dataset = SimpleNamespace(indices=lambda split: np.arange(train if split == "train" else 0))
    context: Any = SimpleNamespace(recipe=RECIPES[recipe], dataset=dataset)
    network: Any = None
    monkeypatch.setattr(module, "to_network", lambda weights: weights)
    monkeypatch.setattr(module, "list_stages", lambda *_: {})
    monkeypatch.setattr(module, "plan_stages", lambda *_: (("timed",), 7.0))
    assert module._plan_stages(network, context, 100.0) == (lines, 7.0 if lines == ("timed",) else 0.0)


@pytest.mark.parametrize(("photos", "kinds"), [(49, ["no_threshold"]), (50, [])])
def test_too_few_photos_for_a_threshold_are_told(
    photos: int, kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "list_problems", lambda *_: ())
    dataset: Any = SimpleNamespace(
        photos=None, examined=None, assignment=None, warnings=(), truth=np.zeros(photos, int)
    )
    assert [each.kind for each in module._problems(dataset)] == kinds


def test_a_dry_run_downloads_no_weights(
    write_digits: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It plans with a network at its random initialization, which is as fast."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a dry run asks nobody")

    monkeypatch.setattr(request, "_transport", refuse)
    photos = write_digits(tmp_path / "digits", count=8)
    job = Job(photos, tmp_path / "bundle", weights="mobilenet_v1_025.keras_r128_in1k", recipe="probe")
    plan = module.plan_job(job, Progress())
    assert plan.weights == job.weights
    assert plan.steps[0].startswith("mobilenet_v1_025.keras_r128_in1k")
    assert plan.steps[0].endswith("would be downloaded first; the estimate does not include that")
    assert plan.estimate_seconds
    monkeypatch.setenv("LUNGFISH_OFFLINE", "1")
    with pytest.raises(DownloadError, match="not on this machine"):
        train(**{each.name: getattr(job, each.name) for each in fields(Job)})
