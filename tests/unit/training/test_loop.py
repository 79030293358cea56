"""The loop on a toy: it learns, it keeps the best epoch, and a stopped run goes on to the same bits."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lungfish.core.errors import DivergedError, UsageError
from lungfish.training import loop
from lungfish.training.checkpoint import Checkpoints
from lungfish.training.loop import Fitted, Run, fit
from lungfish.training.state import Score
from lungfish.training.tuning import Tuning

TUNING = Tuning(epochs=4, batch=16, learning_rate=0.05, patience=4)
JOB = {"photos": "abc", "recipe": "finetune"}


class Stopped(BaseException):
    pass


class Toy:
    """Three separable clouds; noise depends on the epoch and the photo alone."""

    def __init__(self, fail_at: int = -1, act: Callable[[], object] = lambda: None) -> None:
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, 3, 100)
        self.points = (np.eye(3)[self.labels] * 2 + rng.normal(0, 0.5, (100, 3))).astype(np.float32)
        self.fail_at, self.act, self.asked = fail_at, act, 0

    def __len__(self) -> int:
        return len(self.labels)

    def __call__(self, epoch: int, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        self.asked += 1
        if self.asked == self.fail_at:
            self.act()
        noise = np.stack([np.random.default_rng((epoch, i)).normal(0, 0.1, 3) for i in positions])
        return torch.from_numpy(self.points[positions] + noise.astype(np.float32)), torch.from_numpy(
            self.labels[positions]
        )

    def validate(self, network: nn.Module) -> Score:
        network.eval()
        with torch.inference_mode():
            logits = network(torch.from_numpy(self.points))
        labels = torch.from_numpy(self.labels)
        return Score(
            nn.functional.cross_entropy(logits, labels).item(),
            (logits.argmax(dim=1) == labels).float().mean().item(),
        )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


def run_toy(toy: Toy, tuning: Tuning = TUNING, **settings: object) -> Fitted:
    return fit(network(), toy, toy.validate, tuning, Run(**settings))  # type: ignore[arg-type]


def same(one: Fitted, other: Fitted) -> bool:
    return all(torch.equal(one.parameters[name], other.parameters[name]) for name in one.parameters)


def test_it_learns_and_tells_each_epoch() -> None:
    toy = Toy()
    before = toy.validate(network())
    fitted = run_toy(toy)
    assert fitted.score.loss < before.loss / 2
    assert fitted.score.top1 > 0.95
    assert [row["epoch"] for row in fitted.history] == [0, 1, 2, 3]
    assert fitted.score.loss == min(row["val_loss"] for row in fitted.history)
    assert 0 <= fitted.history[0]["data_wait"] <= 1
    json.dumps(fitted.history)


def test_the_seed_decides() -> None:
    assert same(run_toy(Toy(), seed=1), run_toy(Toy(), seed=1))
    assert not same(run_toy(Toy(), seed=1), run_toy(Toy(), seed=2))


def test_the_random_numbers_of_others_are_left_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    toy, net = Toy(), nn.Linear(3, 3)
    state = torch.get_rng_state()
    fit(net, toy, toy.validate, TUNING, Run())
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_better_epoch_the_start_is_kept() -> None:
    toy = Toy()
    start = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    fitted = fit(network(), toy, lambda _: Score(1.0, 0.5), replace(TUNING, patience=2), Run())
    assert len(fitted.history) == 2  # nothing better in two epochs ends it
    assert all(torch.equal(fitted.parameters[name], tensor) for name, tensor in start.items())


def test_a_pull_keeps_the_parameters_near_the_start() -> None:
    start = dict(network().named_parameters())

    def moved(fitted: Fitted) -> float:
        return sum((tensor - start[name]).square().sum().item() for name, tensor in fitted.parameters.items())

    assert moved(run_toy(Toy(), replace(TUNING, pull=1.0))) < moved(run_toy(Toy())) / 4


@pytest.mark.parametrize("stopped_at", [1, 3, 7, 8, 13, 28])
def test_a_killed_run_goes_on_to_the_same_bits(
    stopped_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY_S", 0.0)  # after every step

    def die() -> None:
        raise Stopped

    whole = run_toy(Toy())
    checkpoints = Checkpoints(tmp_path / "run", JOB)
    with pytest.raises(Stopped):
        run_toy(Toy(stopped_at, die), checkpoints=checkpoints)
    toy = Toy()
    resumed = run_toy(toy, checkpoints=checkpoints, resume=True)
    assert same(whole, resumed)
    assert [row["loss"] for row in resumed.history] == [row["loss"] for row in whole.history]
    assert toy.asked == 28 - stopped_at + 1  # only what was not done


def test_a_signal_waits_for_the_end_of_the_step(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", JOB)

    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        toy = Toy(3, lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Stopped):
            run_toy(toy, checkpoints=checkpoints)
        assert signal.getsignal(signal.SIGTERM) is stop
    finally:
        signal.signal(signal.SIGTERM, before)
    saved = checkpoints.latest()
    assert saved
    assert saved.step == toy.asked == 3
    assert same(run_toy(Toy()), run_toy(Toy(), checkpoints=checkpoints, resume=True))


def test_another_job_is_refused(tmp_path: Path) -> None:
    run_toy(Toy(), checkpoints=Checkpoints(tmp_path / "run", JOB))
    with pytest.raises(UsageError, match=r"photos changed \(photos was abc, is def\)"):
        run_toy(Toy(), checkpoints=Checkpoints(tmp_path / "run", JOB | {"photos": "def"}), resume=True)


def test_a_torn_checkpoint_is_passed_over(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", JOB)
    whole = run_toy(Toy(), checkpoints=checkpoints)
    newest = max(checkpoints.folder.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    saved = checkpoints.latest()
    assert saved
    assert saved.step == 21
    assert same(whole, run_toy(Toy(), checkpoints=checkpoints, resume=True))
    assert len(list(checkpoints.folder.glob("*.safetensors"))) == checkpoints.keep


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(DivergedError, match=r"at step [0-9]+: the learning rate, .* is too high"):
        run_toy(
            Toy(),
            replace(
                TUNING,
                learning_rate=10.0,
                warm_up=0.0,
                epochs=200,
                patience=200,
                label_smoothing=0.0,
                weight_decay=10.0,
            ),
        )
    toy = Toy()
    toy.points[:] = np.nan
    with pytest.raises(DivergedError, match="at step 0: an input is not finite"):
        run_toy(toy)
