"""The tail of a tiny network, trained from its own activations."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lungfish.architecture import NAMED, parse_arch
from lungfish.nn import Network, build
from lungfish.training.finetune import LabelledViews, choose_boundary, finetune, tail_of, validation
from lungfish.training.group import Group
from lungfish.training.loop import Run
from lungfish.training.stage_settings import Finetune
from lungfish.training.validation import score

ARCH = parse_arch("mobilenet_v2:width=0.35,resolution=32,classes=3")
BLOCK = 10
TUNING = Finetune(epochs=3, batch_size=8, learning_rate=3e-3, patience=3)


@dataclass(frozen=True, eq=False)
class Held:
    """Activations in memory, `[photos, views, ...]`."""

    values: np.ndarray

    @property
    def views(self) -> int:
        return int(self.values.shape[1])

    def rows(self, photos: np.ndarray, views: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self.values[photos, views]
        return rows


def network() -> Network:
    net = build(ARCH, seed=1).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_var, 0.01, 0.1, generator=torch.Generator().manual_seed(2))
    return net


def split(net: Network, photos: int, seed: int) -> LabelledViews:
    """Noise around one picture for each class; the last view of each photo is another noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % 3
    means = np.random.default_rng(9).normal(0, 1, (3, 3, 32, 32))
    pictures = means[labels][:, None] + rng.normal(0, 0.5, (photos, 2, 3, 32, 32))
    x_nchw = torch.from_numpy(pictures.reshape(-1, 3, 32, 32).astype(np.float32))
    with torch.inference_mode():
        entering = net.blocks[:BLOCK](net.stem(x_nchw)).numpy().astype(np.float16)
    return LabelledViews(Held(entering.reshape(photos, 2, *entering.shape[1:])), labels)


def plain_logits(net: Network, block: int, val: LabelledViews) -> np.ndarray:
    return validation(val, Group()).logits(tail_of(net, block))


def test_only_the_tail_changes_and_it_learns() -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    train, val = split(net, 48, 0), split(net, 24, 1)
    fitted = finetune(net, BLOCK, train, val, TUNING, Run(seed=3))
    logits = plain_logits(network(), BLOCK, val)
    assert fitted.score.loss < score(logits, val.labels).loss
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = ("stem.", *(f"blocks.{i}." for i in range(BLOCK)))
    assert changed
    assert not [name for name in changed if name.startswith(frozen) or "running" in name or "batches" in name]
    assert "classifier.weight" in changed
    assert not net.training


def test_the_logits_are_those_of_the_network_from_the_boundary_on() -> None:
    net = network()
    val = split(net, 9, 1)
    entering = torch.from_numpy(val.views.rows(np.arange(9), np.zeros(9, np.int64))).float()
    with torch.inference_mode():
        pooled = F.adaptive_avg_pool2d(net.head(net.blocks[BLOCK:](entering)), 1).flatten(1)
        expected = net.classifier(pooled).numpy()
    assert np.abs(plain_logits(net, BLOCK, val) - expected).max() <= 1e-4 * expected.std()


def test_the_same_seed_gives_the_same_bits() -> None:
    states = []
    for _ in range(2):
        net = network()
        train, val = split(net, 48, 0), split(net, 24, 1)
        finetune(net, BLOCK, train, val, replace(TUNING, epochs=1), Run(seed=3))
        states.append(net.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_boundary_obeys_time_and_disk() -> None:
    arch = NAMED["efficientnet_lite0"]
    assert choose_boundary(arch, 0.4, 3000, 5, 10**10) == 11
    assert choose_boundary(arch, 0.15, 3000, 5, 10**10) == 15
    assert choose_boundary(arch, 1.0, 3000, 5, 10**12) == 1
    for photos, budget in ((3000, 10**9), (100_000, 10**10)):
        block = choose_boundary(arch, 1.0, photos, 5, budget)
        assert block > 1
        assert choose_boundary(arch, 1.0, photos, 5, 10 * budget) < block
    assert choose_boundary(arch, 0.4, 10**9, 5, 1) == 16


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "efficientnet_b0"])
def test_every_family_has_a_tail(name: str) -> None:
    arch = NAMED[name]
    assert 1 < choose_boundary(arch, 0.4, 1000, 5, 10**10) < sum(arch.stage_depths)
