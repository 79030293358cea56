"""What becomes of a recipe's stages when time or disk are short."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungfish import nn
from lungfish.architecture import parse_arch
from lungfish.job.stages import finetune as finetune_module
from lungfish.job.stages import full as full_module
from lungfish.job.stages import run
from lungfish.job.stages.budget import describe, list_stages, plan_stages
from lungfish.job.stages.finetune import FinetuneAgainStage, FinetuneStage
from lungfish.job.stages.full import FullStage
from lungfish.job.stages.speed import Speed
from lungfish.job.stages.stage import RESERVE, Budget, Plan
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.checkpoint import JOB
from lungfish.training.finetune import activation_bytes
from lungfish.training.group import Group
from lungfish.training.recipe import Recipe
from lungfish.training.stage_settings import Finetune, Full

ARCH = parse_arch("mobilenet_v2:width=0.35,resolution=128,classes=3")
TRAIN, VAL = 90, 30  # photos
FINETUNE, FULL = Finetune(epochs=8, views=4, tail_share=0.4), Full(epochs=8, initial_resolution_scale=0.5)


DISK_BYTES = 10**9
ALL = Budget(math.inf, DISK_BYTES)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A machine that takes, for each photo, 2 ms to decode it, 10 ms forward, and 1 ms for each layer and back."""
    for module in (finetune_module, full_module):
        monkeypatch.setattr(module, "seconds_per_photo", lambda network, *_, **__: 0.001 * len(network))
    sizes = {"train": TRAIN, "val": VAL}
    return SimpleNamespace(
        dataset=SimpleNamespace(
            indices=lambda split: np.arange(sizes[split]),
            records=lambda split: [None] * sizes[split],
            truth=np.zeros(TRAIN + VAL, np.int64),
        ),
        preprocess=Preprocessing(ARCH.resolution_px, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        folder=tmp_path / "run",
        speed=Speed(decode_s=0.002, trunk_s=0.01),
        group=Group(),
        recipe=Recipe(few_photos=0),
    )


def shorter_and_shorter(stage: Any, first: Any = None) -> list[Plan[Any]]:
    """Plans with ever less time, each with a little less than the one before it needs."""
    left_s = math.inf
    plans: list[Plan[Any]] = []
    while True:
        plan = stage.estimate(Budget(left_s, DISK_BYTES), first)
        assert plan.whole_seconds == (plans or [plan])[0].seconds
        if plan.settings is None:
            assert plan.seconds == plans[-1].seconds, "the least that it could do with is what it says"
            return plans
        assert plan.seconds <= left_s
        assert stage.estimate(Budget(plan.seconds, DISK_BYTES), first) == plan
        plans.append(plan)
        left_s = plan.seconds - 1e-6


def test_finetune_gives_up_epochs_and_views_then_blocks(context: Any) -> None:
    plans = shorter_and_shorter(FinetuneStage(nn.build(ARCH), FINETUNE, context))
    assert [(each.settings.epochs, each.settings.views, each.settings.tail_share) for each in plans] == [
        (8, 4, 0.4),
        (7, 3, 0.4),
        (6, 3, 0.4),
        (5, 2, 0.4),
        (4, 2, 0.4),
        (3, 1, 0.4),
        (3, 1, 0.2),
    ]
    assert plans[0].settings == FINETUNE
    assert plans[1].changed() == {"epochs": 7, "views": 3}


def test_another_run_takes_the_time_of_its_epochs_and_gives_up_a_quarter(context: Any) -> None:
    """The views are those of the first run."""
    first = FinetuneStage(nn.build(ARCH), FINETUNE, context)
    whole = first.estimate(ALL)
    plans = shorter_and_shorter(FinetuneAgainStage(first, 2), whole)
    assert [(each.settings.epochs, each.settings.views) for each in plans] == [(8, 4), (7, 4), (6, 4)]
    assert plans[0].seconds < 0.9 * whole.seconds
    assert {each.first_block for each in plans} == {whole.first_block}
    shortened = replace(whole, settings=replace(FINETUNE, epochs=4, views=2))
    assert FinetuneAgainStage(first, 3).estimate(ALL, shortened).settings == shortened.settings


def test_the_runs_of_a_recipe(context: Any) -> None:
    context.recipe = Recipe(finetune=replace(FINETUNE, runs=3), full=FULL)
    stages = list_stages(nn.build(ARCH), context)
    assert list(stages) == ["finetune", "finetune-2", "finetune-3", "full"]
    assert [stage.is_again for stage in stages.values()] == [False, True, True, False]


def test_few_photos_are_tuned_on_twice(context: Any) -> None:
    """Once in halves, to see whether it helps, and once in earnest; the views are computed once."""
    needed_s = {}
    for few_photos in (TRAIN, TRAIN + 1):
        context.recipe = Recipe(few_photos=few_photos)
        needed_s[few_photos] = FinetuneStage(nn.build(ARCH), FINETUNE, context).estimate(ALL).seconds
    once, twice = needed_s.values()
    assert once < twice < 2 * once


def test_full_gives_up_epochs(context: Any) -> None:
    """Three epochs at 64, 96 and 128 pixels: 1.8125 times the largest pictures; each is read, whatever its size."""
    plans = shorter_and_shorter(FullStage(nn.build(ARCH), FULL, context))
    assert [each.settings.epochs for each in plans] == [8, 7, 6, 5, 4, 3]
    assert plans[0].settings == FULL
    needed_s = 0.024 * (1.8125 * TRAIN + 3 * VAL / 3) + 0.002 * 3 * (TRAIN + VAL)
    assert plans[-1].seconds == pytest.approx(RESERVE * needed_s)


@pytest.mark.parametrize(
    ("stage", "settings"), [(FinetuneStage, Finetune(epochs=1, views=0)), (FullStage, Full(epochs=2))]
)
def test_few_epochs_stay(stage: Any, settings: Any, context: Any) -> None:
    plans = shorter_and_shorter(stage(nn.build(ARCH), settings, context))
    assert {each.settings.epochs for each in plans} == {settings.epochs}


def test_where_the_disk_is_short_it_gives_up_blocks_then_views(context: Any) -> None:
    """What enters block 14 is the smallest of all."""
    stage = FinetuneStage(nn.build(ARCH), FINETUNE, context)
    five, three, one = (activation_bytes(ARCH, 14, TRAIN, views) for views in (5, 3, 1))
    for room, views, block in ((five - 1, 3, 14), (10**9, 4, 10), (five, 4, 14), (three, 2, 14), (one, 0, 14)):
        plan = stage.estimate(Budget(math.inf, room))
        assert plan.settings == replace(FINETUNE, views=views)
        assert plan.first_block == block
    plan = stage.estimate(Budget(60, one - 1))
    assert (plan.settings, plan.seconds) == (None, 0.0)
    assert describe("finetune", plan, 60, None).startswith("finetune: skipped: activations take ")


def test_a_run_that_is_resumed_keeps_its_boundary_and_settings(context: Any) -> None:
    (context.folder / "finetune").mkdir(parents=True)
    begun = {"first_block": "12", "shortened": '{"epochs": 5}'}
    (context.folder / "finetune" / JOB).write_text(json.dumps(begun))
    plan, why = run._plan("finetune", FinetuneStage(nn.build(ARCH), FINETUNE, context), None, context)
    assert (plan.first_block, plan.settings, why) == (12, replace(FINETUNE, epochs=5), "finetune: resuming")


def test_a_further_run_that_is_resumed_has_what_the_first_run_had(context: Any) -> None:
    (context.folder / "finetune-2").mkdir(parents=True)
    (context.folder / "finetune-2" / JOB).write_text('{"first_block": "12", "shortened": "{}"}')
    first = FinetuneStage(nn.build(ARCH), FINETUNE, context)
    shortened = replace(first.estimate(ALL), settings=replace(FINETUNE, epochs=4, views=2))
    plan, _ = run._plan("finetune-2", FinetuneAgainStage(first, 2), shortened, context)
    assert plan.settings == shortened.settings


WHOLE_S = 600.0


def plan_of(needed_s: float, settings: Any, left_s: float) -> Plan[Any]:
    """A plan of settings that need `needed_s`, or ten minutes if they are shortened, for the whole of it."""
    fits = needed_s <= left_s
    whole_s = needed_s if settings in (FINETUNE, FULL) else WHOLE_S
    return Plan(FINETUNE if settings == FINETUNE else FULL, settings if fits else None, needed_s, whole_s, 0)


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
def test_it_says_what_the_time_makes_of_a_stage(chosen: Full, needed_s: float, left_s: float, words: str) -> None:
    assert describe("full", plan_of(needed_s, chosen, left_s), left_s, 10) == words


@pytest.mark.parametrize(("left_s", "fitting", "needed_s"), [(100.0, 2, 90.0), (89.0, 1, 60.0), (59.0, 0, 0.0)])
def test_each_stage_has_the_time_that_the_one_before_leaves(left_s: float, fitting: int, needed_s: float) -> None:
    """After one that does not fit, none is timed."""

    def stage(needed_s: float, settings: Any) -> Any:
        return SimpleNamespace(
            is_again=False, estimate=lambda budget, _first: plan_of(needed_s, settings, budget.seconds)
        )

    stages = {"finetune": stage(60.0, FINETUNE), "full": stage(30.0, FULL)}
    lines, seconds = plan_stages(stages, Budget(left_s, DISK_BYTES), 10)
    assert seconds == needed_s
    assert ["skipped" in line for line in lines] == ([False] * fitting + [True])[:2]
