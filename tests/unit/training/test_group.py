"""Two processes with half of each batch do what one does with all of it."""

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from lungfish.training.group import Group, advice_on_restarts

WORK = """
import json, sys
import numpy as np, torch
from torch import nn
from lungfish.nn.layers import Dropout, DropPath
from lungfish.training.group import join_group
from lungfish.training.loop import Run, fit
from lungfish.training.stage_settings import Tuning
from lungfish.training.validation import Validation
from safetensors.torch import save_file

class Photos:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 49)
    pixels = torch.from_numpy((labels[:, None, None, None] + rng.normal(0, 1, (49, 3, 8, 8))).astype(np.float32))

    def __call__(self, epoch, chunks):
        for chunk in chunks:
            yield self.pixels[chunk], torch.from_numpy(self.labels[chunk])

    def plain(self, chunks):
        for chunk in chunks:
            yield self.pixels[chunk]

class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.path = nn.Conv2d(8, 8, 3, padding=1), DropPath(0.3)
    def forward(self, x):
        return x + self.path(self.conv(x))

with join_group() as group:
    for name, settings in json.loads(sys.argv[2]).items():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 3), Branch(), nn.Flatten(1), Dropout(0.4), nn.Linear(288, 3))
        photos = Photos()
        weight = torch.tensor([0.5, 1.0, 2.0])
        tuning = Tuning(batch_size=16, learning_rate=0.01, optimizer="sgd", weight_decay=0.0, patience=9, **settings)
        val = Validation(photos.plain, photos.labels, group)
        fitted = fit(network, photos, val, tuning, Run(class_weight=weight, group=group, seed=3))
        if group.is_main:
            save_file(dict(fitted.tensors), f"{sys.argv[1]}/{name}.safetensors")
            with open(f"{sys.argv[1]}/{name}.json", "w") as file:
                json.dump(fitted.history, file)
"""
SETTINGS = {
    "plain": {"epochs": 3},
    "accumulated": {"epochs": 2, "grad_accum_steps": 2, "batch_norm": "batch"},
    "clipped": {"epochs": 2, "grad_accum_steps": 2, "max_grad_norm": 0.1},
}


@pytest.fixture(scope="module")
def fitted(
    tmp_path_factory: pytest.TempPathFactory,
    process_lock: AbstractContextManager[object],
    rank_variables: Callable[[], list[dict[str, str]]],
) -> tuple[Path, Path]:
    """The folders where one process, and two together, left what they fitted under all settings."""
    script = tmp_path_factory.mktemp("work") / "work.py"
    script.write_text(WORK, encoding="utf-8")
    one, two = script.with_name("one"), script.with_name("two")
    for folder in (one, two):
        folder.mkdir()
    with process_lock:
        processes = [
            subprocess.Popen(
                [sys.executable, str(script), str(two), json.dumps(SETTINGS)],
                env=os.environ | variables,
                stderr=subprocess.PIPE,
            )
            for variables in rank_variables()
        ]
        with pytest.MonkeyPatch.context() as patch:  # the third is this process
            patch.setattr(sys, "argv", [str(script), str(one), json.dumps(SETTINGS)])
            runpy.run_path(str(script))
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()[-3000:]
    return one, two


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs libuv on Windows")
@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_equal_one(fitted: tuple[Path, Path], name: str) -> None:
    """49 photos in batches of 16: the last batch has one, so that one process has none. Dropout and DropPath are on."""
    one, two = (load_file(folder / f"{name}.safetensors") for folder in fitted)
    single_process, together = (json.loads((folder / f"{name}.json").read_text()) for folder in fitted)
    assert set(one) == set(two)
    for key, tensor in one.items():
        assert np.abs(tensor - two[key]).max() < 1e-5 * np.abs(tensor).max(), key
    assert len(single_process) == len(together)
    for row, other in zip(single_process, together, strict=True):
        assert row["top1"] == other["top1"]  # exact: no photo counts twice
        assert row["val_top1"] == other["val_top1"]
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=1e-5)


def test_a_process_alone_is_a_group_of_one() -> None:
    group, rows = Group(), np.ones((2, 3), np.float32)
    assert group.is_main
    assert group.sum([1.0, 2.5]) == [1.0, 2.5]
    assert group.gather(rows) is rows
    assert group.broadcast("a") == "a"
    assert group.share(np.arange(5)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [0, 1, 7, 8])
def test_shares_make_up_the_batch(count: int) -> None:
    shares = [Group(rank, 3).share(np.arange(count)) for rank in range(3)]
    assert np.concatenate(shares).tolist() == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_advice_for_launchers_that_share_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_MAX_RESTARTS"):
        monkeypatch.delenv(name, raising=False)
    assert not advice_on_restarts()
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert not advice_on_restarts()
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in advice_on_restarts()
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    assert not advice_on_restarts()
