"""What becomes of the network when stages are tried: one of a single weight, whose loss is least at a chosen weight."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lungfish.core.errors import DivergedError
from lungfish.core.progress import Progress
from lungfish.evaluation.stage_result import Gain, Score
from lungfish.job.stages.attempt import Attempts
from lungfish.job.stages.stage import Plan
from lungfish.training.group import Group
from lungfish.training.loop import FitResult
from lungfish.training.recipe import Recipe
from lungfish.training.stage_settings import Finetune

VAL = 40


class Stage:
    """Trains the weight to `end`; the nearer it is to `best`, the more photos are right."""

    settings = Finetune(epochs=2, views=1)

    def __init__(self, network: nn.Linear, end: float, best: float = 1.0, **fields: Any) -> None:
        self.network, self.end, self.best = network, end, best
        self.is_again, self.trial, self.diverges = (fields.get(key) for key in ("is_again", "trial", "diverges"))
        self.started: list[float] = []

    def open(self, _plan: Any) -> Any:
        return self

    def cross_fit(self, *_: Any) -> Gain | None:
        return self.trial

    def train(self, _run: Any) -> FitResult:
        self.started.append(self.network.weight.item())
        nn.init.constant_(self.network.weight, self.end)
        if self.diverges:
            raise DivergedError("the loss is not finite")
        state = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        return FitResult(state, state, Score(0.5, 0.5), 0, ({"epoch": 0}, {"epoch": 1}), "epochs")

    def val_logits(self) -> np.ndarray:
        right = round(VAL * max(0.5, 1 - abs(self.network.weight.item() - self.best) / 2))
        return np.float32([[2, -2]] * right + [[-2, 2]] * (VAL - right))


@pytest.fixture
def network() -> Any:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    return network


def attempts_of(network: Any, folder: Path, few_photos: int = 0) -> Attempts:
    context: Any = SimpleNamespace(
        dataset=SimpleNamespace(
            indices=lambda split: np.arange(VAL) if split == "val" else np.arange(VAL, 2 * VAL),
            truth=np.zeros(2 * VAL, np.int64),
            assignment=SimpleNamespace(units=np.arange(2 * VAL)),
        ),
        recipe=Recipe(few_photos=few_photos, class_weight="none"),
        group=Group(),
        folder=folder,
        job={},
        seed=0,
        deadline=np.inf,
        progress=Progress(),
    )
    head: Any = object()
    return Attempts(network, head, context)


def attempt(attempts: Attempts, stage: Any, before: np.ndarray) -> Any:
    plan = Plan(stage.settings, stage.settings, 1.0, 1.0, 3)
    return attempts.attempt("finetune", stage, plan, before)


def test_what_is_better_is_kept(network: Any, tmp_path: Path) -> None:
    stage = Stage(network, end=1.0)
    created = attempt(attempts_of(network, tmp_path), stage, stage.val_logits())
    assert created.result.kept
    assert (network.weight.item(), created.result.share) == (1.0, 1.0)
    assert created.result.why.startswith(
        "kept. Epoch 2 of 2 was the best; 20 more of 40 validation photos are right than with the head."
    )
    assert [row["epoch"] for row in created.history] == [0, 1]
    assert (created.logits == stage.val_logits()).all()


def test_half_way_is_kept_where_all_the_way_is_too_far(network: Any, tmp_path: Path) -> None:
    stage = Stage(network, end=2.0)
    created = attempt(attempts_of(network, tmp_path), stage, stage.val_logits())
    assert created.result.kept
    assert (network.weight.item(), created.result.share) == (1.0, 0.5)
    assert "Its weights are averaged with the head's, 50% to 50%." in created.result.why


@pytest.mark.parametrize("diverges", [True, False])
def test_what_is_worse_is_undone(network: Any, tmp_path: Path, diverges: bool) -> None:
    stage = Stage(network, end=-1.0, best=0.0, diverges=diverges)
    created = attempt(attempts_of(network, tmp_path), stage, stage.val_logits())
    assert not created.result.kept
    assert network.weight.item() == 0.0
    assert created.result.why.startswith(
        "not kept. The loss is not finite" if diverges else "not kept. 2 epochs run; none beat the head"
    )


def test_runs_start_from_the_head_stage_and_are_averaged(network: Any, tmp_path: Path) -> None:
    attempts = attempts_of(network, tmp_path)
    first, second = Stage(network, end=0.6), Stage(network, end=1.4, is_again=True)
    reached = attempt(attempts, first, first.val_logits())
    assert attempts.why_skip(second) == ""  # type: ignore[arg-type]
    created = attempt(attempts, second, reached.logits)
    assert first.started == second.started == [0.0]
    assert created.result.kept
    assert network.weight.item() == pytest.approx(1.0)


def test_no_run_follows_one_that_was_not_kept(network: Any, tmp_path: Path) -> None:
    attempts = attempts_of(network, tmp_path)
    worse, again = Stage(network, end=-1.0, best=0.0), Stage(network, end=1.0, is_again=True)
    attempt(attempts, worse, worse.val_logits())
    assert attempts.why_skip(again) == "the run before it was not kept"  # type: ignore[arg-type]


def test_few_photos_are_tuned_only_if_a_trial_gains_clearly(network: Any, tmp_path: Path) -> None:
    attempts = attempts_of(network, tmp_path, few_photos=1000)
    stage = Stage(network, end=1.0, trial=Gain(0.1, 0.06, VAL))
    created = attempt(attempts, stage, stage.val_logits())
    assert (created.result.kept, stage.started) == (False, [])
    luck = "Its improvement is too small to tell from luck on 40 training photos, cross-validated."
    assert (created.result.why, created.result.gain) == (f"not kept. {luck}", Gain(0.1, 0.06, VAL))
    assert "with so few photos" in attempts.why_skip(stage)  # type: ignore[arg-type]
    stage = Stage(network, end=1.0, trial=Gain(0.1, 0.04, VAL))
    assert attempt(attempts_of(network, tmp_path, few_photos=1000), stage, stage.val_logits()).result.kept
    assert torch.equal(network.weight, torch.ones(1, 1))
