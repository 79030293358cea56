"""What becomes of a recipe's steps when time or disk are short."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungfish import nn
from lungfish.architecture import parse_arch
from lungfish.job.stages import finetune as finetune_step
from lungfish.job.stages import full as full_step
from lungfish.job.stages.again import AgainStep
from lungfish.job.stages.budget import fit_to_time, open_steps, plan_steps
from lungfish.job.stages.finetune import FinetuneStep
from lungfish.job.stages.full import FullStep
from lungfish.job.stages.speed import Pace
from lungfish.job.stages.stage import RESERVE
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.checkpoint import JOB
from lungfish.training.finetune import activation_bytes
from lungfish.training.group import Group
from lungfish.training.recipe import Recipe
from lungfish.training.stage_settings import Finetune, Full

ARCH = parse_arch("mobilenet_v2:width=0.35,resolution=128,classes=3")
TRAIN, VAL = 90, 30  # photos
FINETUNE, FULL = Finetune(epochs=8, views=4, tail_share=0.4), Full(epochs=8, first_side=0.5)


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine that takes, for each photo, 2 ms to decode it, 10 ms forward, and 1 ms for each layer and back."""
    for module in (finetune_step, full_step):
        monkeypatch.setattr(module, "seconds_per_photo", lambda network, *_, **__: 0.001 * len(network))
    have_disk(monkeypatch, 10**9)
    sizes = {"train": TRAIN, "val": VAL}
    return SimpleNamespace(
        gathered=SimpleNamespace(
            indices=lambda split: np.arange(sizes[split]),
            records=lambda split: [None] * sizes[split],
            truth=np.zeros(TRAIN + VAL, np.int64),
        ),
        preprocess=Preprocessing(ARCH.resolution_px, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        folder=tmp_path / "run",
        pace=Pace(decode_s=0.002, trunk_s=0.01),
        group=Group(),
        recipe=Recipe(few_photos=0),
    )


def have_disk(monkeypatch: pytest.MonkeyPatch, for_activations: int) -> None:
    monkeypatch.setattr(finetune_step, "bytes_available", lambda *_: 2 * for_activations)


def shorter_and_shorter(step: Any) -> list[tuple[Any, float]]:
    """What a step makes of ever less time, each time a little less than it has just asked for, and the seconds."""
    left_s = math.inf
    ways: list[tuple[Any, float]] = []
    while True:
        chosen, needed_s = step.shortened(left_s)
        if chosen is None:
            assert needed_s == ways[-1][1], "the least that it could do with is what it says"
            return ways
        assert needed_s <= left_s
        assert step.shortened(needed_s) == (chosen, needed_s)
        ways.append((chosen, needed_s))
        left_s = needed_s - 1e-6


def test_finetune_gives_up_epochs_and_views_then_blocks(setting: Any) -> None:
    ways = shorter_and_shorter(FinetuneStep(nn.build(ARCH), FINETUNE, setting))
    assert [(each.epochs, each.views, each.tail_share) for each, _ in ways] == [
        (8, 4, 0.4),
        (7, 3, 0.4),
        (6, 3, 0.4),
        (5, 2, 0.4),
        (4, 2, 0.4),
        (3, 1, 0.4),
        (3, 1, 0.2),
    ]
    assert ways[0][0] == FINETUNE


def test_another_run_takes_the_time_of_its_epochs_and_gives_up_a_quarter(setting: Any) -> None:
    """The views are those of the first run."""
    first = FinetuneStep(nn.build(ARCH), FINETUNE, setting)
    ways = shorter_and_shorter(AgainStep(first, 2))
    assert [(each.epochs, each.views) for each, _ in ways] == [(8, 4), (7, 4), (6, 4)]
    assert ways[0][1] < 0.9 * first.shortened(math.inf)[1]
    first.trained = replace(FINETUNE, epochs=4, views=2)
    assert AgainStep(first, 3).shortened(math.inf)[0] == first.trained


def test_the_runs_of_a_recipe(setting: Any) -> None:
    setting.recipe = Recipe(finetune=replace(FINETUNE, runs=3), full=FULL)
    steps = open_steps(nn.build(ARCH), setting)
    assert list(steps) == ["finetune", "finetune-2", "finetune-3", "full"]
    assert [step.is_again for step in steps.values()] == [False, True, True, False]


def test_few_photos_are_tuned_on_twice(setting: Any) -> None:
    """Once in halves, to see whether it helps, and once in earnest; the views are computed once."""
    needed_s = {}
    for few_photos in (TRAIN, TRAIN + 1):
        setting.recipe = Recipe(few_photos=few_photos)
        _, needed_s[few_photos] = FinetuneStep(nn.build(ARCH), FINETUNE, setting).shortened(math.inf)
    once, twice = needed_s.values()
    assert once < twice < 2 * once


def test_full_gives_up_epochs(setting: Any) -> None:
    """Three epochs at 64, 96 and 128 pixels: 1.8125 times the largest pictures; each is read, whatever its size."""
    ways = shorter_and_shorter(FullStep(nn.build(ARCH), FULL, setting))
    assert [each.epochs for each, _ in ways] == [8, 7, 6, 5, 4, 3]
    assert ways[0][0] == FULL
    needed_s = 0.024 * (1.8125 * TRAIN + 3 * VAL / 3) + 0.002 * 3 * (TRAIN + VAL)
    assert ways[-1][1] == pytest.approx(RESERVE * needed_s)


@pytest.mark.parametrize(("step", "tuning"), [(FinetuneStep, Finetune(epochs=1, views=0)), (FullStep, Full(epochs=2))])
def test_few_epochs_stay(step: Any, tuning: Any, setting: Any) -> None:
    ways = shorter_and_shorter(step(nn.build(ARCH), tuning, setting))
    assert {each.epochs for each, _ in ways} == {tuning.epochs}


def test_where_the_disk_is_short_it_gives_up_blocks_then_views(setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What enters block 14 is the smallest of all."""
    five, three, one = (activation_bytes(ARCH, 14, TRAIN, views) for views in (5, 3, 1))
    for room, views, block in ((five - 1, 3, 14), (10**9, 4, 10), (five, 4, 14), (three, 2, 14), (one, 0, 14)):
        have_disk(monkeypatch, room)
        step = FinetuneStep(nn.build(ARCH), FINETUNE, setting)
        chosen, _ = step.shortened(math.inf)
        assert chosen == replace(FINETUNE, views=views)
        assert step.first_block(chosen) == block
    have_disk(monkeypatch, one - 1)
    chosen, words, needed_s = fit_to_time("finetune", None, FinetuneStep(nn.build(ARCH), FINETUNE, setting), 60)
    assert (chosen, needed_s) == (None, 0.0)
    assert words.startswith("finetune: skipped: activations take ")


def test_a_run_that_goes_on_keeps_its_boundary(setting: Any) -> None:
    (setting.folder / "finetune").mkdir(parents=True)
    (setting.folder / "finetune" / JOB).write_text('{"first_block": "12"}')
    assert FinetuneStep(nn.build(ARCH), FINETUNE, setting).first_block(FINETUNE) == 12


WHOLE_S = 600.0


def step_that_takes(needed_s: float, chosen: Any, whole: Any = None) -> Any:
    """It needs `needed_s` for `chosen`, or ten minutes for the whole of it."""

    def shortened(left_s: float) -> tuple[Any, float]:
        if whole and left_s >= WHOLE_S:
            return whole, WHOLE_S
        return (chosen if needed_s <= left_s else None), needed_s

    return SimpleNamespace(shortened=shortened, tuning=whole or chosen, is_again=False)


@pytest.mark.parametrize(
    ("chosen", "needed_s", "left_s", "words"),
    [
        (FULL, 300.0, math.inf, "full: about 5 min"),
        (
            replace(FULL, epochs=3),
            80.0,
            99.0,
            "full: about 80 s, shortened to 3 epochs; --minutes 19 would run all of it",
        ),
        (FULL, 420.0, 200.0, "full: skipped: needs at least 7 min, 3 min left; --minutes 14 would include it"),
        (FULL, 42.0, -5.0, "full: skipped: needs at least 42 s, 0 s left; --minutes 11 would include it"),
    ],
)
def test_it_says_what_the_time_makes_of_a_step(chosen: Full, needed_s: float, left_s: float, words: str) -> None:
    fits = needed_s <= left_s
    expected = (chosen, words, needed_s) if fits else (None, words, 0.0)
    step = step_that_takes(needed_s, chosen, FULL if chosen != FULL else None)
    assert fit_to_time("full", 10, step, left_s) == expected


@pytest.mark.parametrize(("left_s", "fitting", "needed_s"), [(100.0, 2, 90.0), (89.0, 1, 60.0), (59.0, 0, 0.0)])
def test_each_step_has_the_time_that_the_one_before_leaves(left_s: float, fitting: int, needed_s: float) -> None:
    """After one that does not fit, none is timed."""
    recipe = Recipe(finetune=FINETUNE, full=FULL)
    steps = {"finetune": step_that_takes(60.0, FINETUNE), "full": step_that_takes(30.0, FULL)}
    lines, seconds = plan_steps(recipe, steps, left_s)
    assert seconds == needed_s
    assert ["skipped" in line for line in lines] == ([False] * fitting + [True])[:2]
