"""The loop on a toy: it learns, it keeps the best epoch, and a stopped run goes on to the same bits."""

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lungfish.core.errors import DivergedError, StoppedError, UsageError
from lungfish.core.progress import Progress
from lungfish.core.stopping import StopToken
from lungfish.evaluation.stage_result import Score
from lungfish.nn.layers import Dropout
from lungfish.training import saving
from lungfish.training.checkpoint import Checkpoint, Checkpoints
from lungfish.training.loop import FitResult, Run, fit
from lungfish.training.schedule import Schedule
from lungfish.training.stage_settings import Tuning

TUNING = Tuning(epochs=4, batch_size=16, learning_rate=0.05, patience=4)
JOB = {"photos": "abc", "recipe": "finetune"}


class Stopped(BaseException):
    pass


class Toy:
    """Three separable clouds; noise depends on the epoch and the photo alone."""

    def __init__(self, fail_at: int = -1, act: Callable[[], object] = lambda: None, pause_s: float = 0.0) -> None:
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, 3, 100)
        self.points = (np.eye(3)[self.labels] * 2 + rng.normal(0, 0.5, (100, 3))).astype(np.float32)
        self.fail_at, self.act, self.pause_s, self.asked = fail_at, act, pause_s, 0

    def __call__(self, epoch: int, chunks: Sequence[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        for positions in chunks:
            self.asked += 1
            time.sleep(self.pause_s)
            if self.asked == self.fail_at:
                self.act()
            noise = [np.random.default_rng((epoch, i)).normal(0, 0.1, 3).astype(np.float32) for i in positions]
            points = self.points[positions] + np.stack(noise)
            yield torch.from_numpy(points), torch.from_numpy(self.labels[positions])

    def validate(self, network: nn.Module) -> Score:
        network.eval()
        with torch.inference_mode():
            logits = network(torch.from_numpy(self.points))
        labels = torch.from_numpy(self.labels)
        return Score(
            nn.functional.cross_entropy(logits, labels).item(),
            (logits.argmax(dim=1) == labels).float().mean().item(),
        )


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 16), nn.ReLU(), Dropout(0.2), nn.Linear(16, 3))


def run_toy(toy: Toy, tuning: Tuning = TUNING, **settings: object) -> FitResult:
    return fit(network(), toy, toy.validate, tuning, Run(**settings))  # type: ignore[arg-type]


def same(one: FitResult, other: FitResult) -> bool:
    return all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_it_learns_and_tells_each_epoch() -> None:
    toy = Toy()
    before = toy.validate(network())
    fitted = run_toy(toy)
    assert fitted.score.loss < before.loss / 2
    assert fitted.score.top1 > 0.95
    assert [row["epoch"] for row in fitted.history] == [0, 1, 2, 3]
    losses = [row["val_loss"] for row in fitted.history]
    assert fitted.score.loss == min(losses)
    assert fitted.best_epoch == losses.index(min(losses))
    assert fitted.stopped == "epochs"
    assert 0 <= fitted.history[0]["data_wait"] <= 1
    json.dumps(fitted.history)


def test_the_seed_decides() -> None:
    assert same(run_toy(Toy(), seed=1), run_toy(Toy(), seed=1))
    assert not same(run_toy(Toy(), seed=1), run_toy(Toy(), seed=2))


def test_the_random_numbers_of_others_are_left_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    toy, net = Toy(), nn.Sequential(nn.Linear(3, 3))
    state = torch.get_rng_state()
    fit(net, toy, toy.validate, TUNING, Run())
    assert torch.equal(torch.get_rng_state(), state)


def test_patience_waits_until_the_learning_rate_has_come_down() -> None:
    """Of ten epochs the first is the best; the rate is at a tenth of its highest after the eighth."""
    scores = iter([0.5, *[0.6] * 9])
    fitted = fit(network(), Toy(), lambda _: Score(next(scores), 0.5), replace(TUNING, epochs=10, patience=2), Run())
    assert (len(fitted.history), fitted.best_epoch, fitted.stopped) == (8, 0, "patience")


def test_the_best_epoch_is_kept_though_it_may_be_worse_than_the_start() -> None:
    """Which of the two is better is for the caller to judge."""
    scores = iter([3.0, 2.0, 4.0, 5.0])
    fitted = fit(network(), Toy(), lambda _: Score(next(scores), 0.5), TUNING, Run())
    assert (fitted.best_epoch, fitted.score, fitted.stopped) == (1, Score(2.0, 0.5), "epochs")


def test_a_pull_keeps_the_parameters_near_the_start() -> None:
    start = dict(network().named_parameters())

    def moved(fitted: FitResult) -> float:
        return sum((tensor - start[name]).square().sum().item() for name, tensor in fitted.tensors.items())

    assert moved(run_toy(Toy(), replace(TUNING, l2_sp=1.0))) < moved(run_toy(Toy())) / 4


@pytest.mark.parametrize("stopped_at", [1, 3, 7, 8, 13, 28])
def test_a_killed_run_goes_on_to_the_same_bits(
    stopped_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "EVERY_S", 0.0)  # after every step
    monkeypatch.setattr(saving, "SHARE", math.inf)

    def die() -> None:
        raise Stopped

    whole = run_toy(Toy())
    checkpoints = Checkpoints(tmp_path / "run", JOB)
    with pytest.raises(Stopped):
        run_toy(Toy(stopped_at, die), checkpoints=checkpoints)
    toy = Toy()
    resumed = run_toy(toy, checkpoints=checkpoints)
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
    assert same(run_toy(Toy()), run_toy(Toy(), checkpoints=checkpoints))


def test_a_stop_from_another_thread_waits_for_the_end_of_the_step(tmp_path: Path) -> None:
    checkpoints, stop = Checkpoints(tmp_path / "run", JOB), StopToken()
    toy = Toy(3, lambda: stop_elsewhere(stop))
    with ThreadPoolExecutor(1) as pool, pytest.raises(StoppedError):  # where no signal ever comes
        pool.submit(run_toy, toy, checkpoints=checkpoints, progress=Progress(stop=stop)).result()
    saved = checkpoints.latest()
    assert saved
    assert saved.step == toy.asked == 3
    assert same(run_toy(Toy()), run_toy(Toy(), checkpoints=checkpoints))


def stop_elsewhere(stop: StopToken) -> None:
    thread = threading.Thread(target=stop.stop)
    thread.start()
    thread.join()


def test_another_job_is_refused(tmp_path: Path) -> None:
    run_toy(Toy(), checkpoints=Checkpoints(tmp_path / "run", JOB))
    with pytest.raises(UsageError, match=r"photos changed \(photos was abc, is def\)"):
        run_toy(Toy(), checkpoints=Checkpoints(tmp_path / "run", JOB | {"photos": "def"}))


@pytest.mark.parametrize(("cost_s", "saved"), [(0.0, 4), (0.2, 1)])
def test_saving_takes_a_small_share_of_the_time(
    cost_s: float, saved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of a tenth of a second: each is saved, or only the first of them; and the end."""
    steps: list[int] = []
    save = Checkpoints.save

    def slow_save(self: Checkpoints, checkpoint: Checkpoint) -> None:
        time.sleep(cost_s)
        steps.append(checkpoint.step)
        save(self, checkpoint)

    monkeypatch.setattr(Checkpoints, "save", slow_save)
    monkeypatch.setattr(saving, "SHARE", 100.0 if cost_s == 0 else 0.01)  # a slow disk must not decide
    run_toy(Toy(pause_s=0.1 / 7), checkpoints=Checkpoints(tmp_path / "run", JOB))
    assert steps == [*(7 * epoch for epoch in range(1, saved + 1)), 28]


def test_a_torn_checkpoint_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "SHARE", math.inf)  # after every epoch
    checkpoints = Checkpoints(tmp_path / "run", JOB)
    whole = run_toy(Toy(), checkpoints=checkpoints)
    newest = max(checkpoints.folder.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    saved = checkpoints.latest()
    assert saved
    assert saved.step == 21
    assert same(whole, run_toy(Toy(), checkpoints=checkpoints))
    assert len(list(checkpoints.folder.glob("*.safetensors"))) == checkpoints.keep


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    with pytest.raises(DivergedError, match=r"at step [0-9]+: the learning rate of .* is too high"):
        run_toy(
            Toy(),
            replace(
                TUNING,
                learning_rate=10.0,
                warmup_fraction=0.0,
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


def test_a_run_that_had_ended_early_stays_ended(tmp_path: Path) -> None:
    """Killed between the last checkpoint and the end: no further epochs."""
    checkpoints = Checkpoints(tmp_path / "run", JOB)
    tuning = replace(TUNING, patience=1, epochs=9)
    scores = iter([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.35, 0.1])
    ended = fit(network(), Toy(), lambda _: Score(next(scores), 0.5), tuning, Run(checkpoints=checkpoints))
    assert (len(ended.history), ended.best_epoch, ended.stopped) == (8, 6, "patience")
    again = fit(network(), Toy(), lambda _: Score(0.0, 0.5), tuning, Run(checkpoints=checkpoints))
    assert (len(again.history), again.best_epoch) == (8, 6)
    assert same(ended, again)


def test_no_epoch_begins_that_would_end_too_late() -> None:
    fitted = run_toy(Toy(), deadline=time.monotonic())
    assert (fitted.history, fitted.best_epoch, fitted.stopped) == ((), None, "minutes")
    start = network().state_dict()
    assert all(torch.equal(tensor, start[name]) for name, tensor in fitted.tensors.items())


def test_parts_of_a_step_add_up_to_it() -> None:
    smooth = replace(TUNING, learning_rate=0.01)
    plain, drops = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3)), Run(seed=1)
    results = []
    for grad_accum_steps in (1, 3):
        toy, net = Toy(), copy.deepcopy(plain)
        results.append(fit(net, toy, toy.validate, replace(smooth, grad_accum_steps=grad_accum_steps), drops).tensors)
    assert all(torch.allclose(results[0][name], results[1][name], atol=1e-5) for name in results[0])


@pytest.mark.parametrize("grad_accum_steps", [1, 3])
def test_long_gradients_are_scaled_down_to_the_norm_allowed(grad_accum_steps: int) -> None:
    """One step of SGD at half of its rate; Nesterov's momentum takes the first gradient 1.9 times."""
    step = Tuning(
        epochs=1,
        batch_size=100,
        grad_accum_steps=grad_accum_steps,
        optimizer="sgd",
        learning_rate=0.1,
        warmup_fraction=0.0,
    )
    step = replace(step, weight_decay=0.0, ema_decay=0.0)

    def moved(max_grad_norm: float) -> Tensor:
        torch.manual_seed(0)
        toy, net = Toy(), nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 3))
        start = nn.utils.parameters_to_vector(net.parameters()).detach()
        fit(net, toy, toy.validate, replace(step, max_grad_norm=max_grad_norm), Run())
        return nn.utils.parameters_to_vector(net.parameters()).detach() - start

    free, clipped = moved(0.0), moved(0.01)
    assert clipped.norm().item() == pytest.approx(0.5 * 0.1 * 1.9 * 0.01, rel=1e-3)
    assert free.norm() > 10 * clipped.norm()
    assert torch.allclose(clipped / clipped.norm(), free / free.norm(), atol=1e-4)
    assert torch.equal(moved(1e6), free)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_earlier_layers_move_less(optimizer: str) -> None:
    def moved(layer_decay: float) -> float:
        toy, net = Toy(), network()
        start = net[0].weight.detach().clone()
        tuning = replace(
            TUNING, optimizer=optimizer, learning_rate=1e-3, layer_decay=layer_decay, epochs=1, warmup_fraction=0
        )
        fit(net, toy, toy.validate, tuning, Run())
        return float((net[0].weight.detach() - start).abs().sum())

    assert moved(0.1) < moved(1.0) / 2


def test_batch_norm_learns_its_statistics_only_where_the_recipe_says_so(tmp_path: Path) -> None:
    def trained(batch_norm: str, **settings: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        toy = Toy(*settings.pop("stop", ()))
        return dict(fit(net, toy, toy.validate, replace(TUNING, batch_norm=batch_norm), Run(**settings)).tensors)

    frozen, learned = trained("frozen"), trained("batch")
    assert torch.equal(frozen["1.running_mean"], torch.zeros(8))
    assert learned["1.running_mean"].abs().max() > 0.1
    assert learned["1.num_batches_tracked"] > 0

    def die() -> None:
        raise Stopped

    checkpoints = Checkpoints(tmp_path / "run", JOB)
    with pytest.raises(Stopped):
        trained("batch", stop=(10, die), checkpoints=checkpoints)
    resumed = trained("batch", checkpoints=checkpoints)
    assert all(torch.equal(learned[name], resumed[name]) for name in learned)


def test_the_learning_rate_rises_along_a_line_and_falls_along_half_a_cosine() -> None:
    schedule = Schedule(learning_rate=2.0, warmup_fraction=0.2, steps=10)
    assert schedule.share(0) == 0.0
    assert schedule.share(1) == pytest.approx(0.5 * 0.5 * (1 + math.cos(0.1 * math.pi)))
    assert schedule.share(5) == pytest.approx(0.5)
    assert schedule.share(10) == pytest.approx(0.0)
    assert schedule.rate(4) == pytest.approx(2 * schedule.share(4.5))
    assert replace(schedule, warmup_fraction=0.0).share(0) == 1.0
