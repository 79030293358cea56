"""Tuning compared with a head on photos that neither has seen; a tiny network and photos that are noise or not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lungfish.architecture import parse_arch
from lungfish.evaluation.stage_result import Score
from lungfish.job.stages import cross_fit as module
from lungfish.job.stages.cross_fit import Photos, Subset, cross_fit
from lungfish.nn import Network, build
from lungfish.training.finetune import LabelledViews
from lungfish.training.loop import FitResult, Run
from lungfish.training.probe import LabelledFeatures, fit_penalty
from lungfish.training.stage_settings import Finetune

ARCH = parse_arch("mobilenet_v2:width=0.35,resolution=32,classes=3")
BLOCK = 12
TUNING = Finetune(epochs=1, batch_size=8)


class Held:
    """Activations in memory, `[photos, views, ...]`."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.views = values, values.shape[1]

    def rows(self, photos: np.ndarray, views: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self.values[photos, views]
        return rows


def views(net: Network, photos: int, seed: int) -> tuple[LabelledViews, np.ndarray]:
    """Noise around one picture for each class, and features that say nothing."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % 3
    pictures = np.random.default_rng(9).normal(0, 1, (3, 3, 32, 32))[labels] + rng.normal(0, 0.3, (photos, 3, 32, 32))
    with torch.inference_mode():
        entering = net.blocks[:BLOCK](net.stem(torch.from_numpy(pictures.astype(np.float32)))).numpy()
    features = rng.normal(0, 1, (photos, net.classifier.in_features)).astype(np.float32)
    return LabelledViews(Held(entering.astype(np.float16)[:, None]), labels), features


@pytest.fixture(scope="module")
def net() -> Network:
    net = build(ARCH, seed=1).eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            assert layer.running_var is not None
            torch.nn.init.uniform_(layer.running_var, 0.01, 0.1, generator=torch.Generator().manual_seed(2))
    return net


@pytest.fixture
def photos(net: Network) -> Photos:
    train, features = views(net, 36, 0)
    val, val_features = views(net, 18, 1)
    return Photos(train, LabelledFeatures(features, train.labels), np.arange(36), val, val_features, np.arange(18))


def test_each_half_is_answered_by_a_network_that_was_tuned_on_the_other(
    net: Network, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenes of two photos stay whole; a network that is right on all it is asked gains clearly on a head of noise."""
    tuned, asked = [], []

    def finetune(network: Network, _block: int, train: LabelledViews, *_: object) -> FitResult:
        tuned.append(set(train.views.chosen))  # type: ignore[attr-defined]
        assert network is not net
        state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        return FitResult(state, state, Score(0, 0), 0, (), "epochs")

    def logits(_network: Network, _block: int, some: LabelledViews, _run: Run) -> np.ndarray:
        if isinstance(some.views, Subset):
            asked.append(set(some.views.chosen))
        return 9 * np.eye(3, dtype=np.float32)[some.labels]

    monkeypatch.setattr(module, "finetune", finetune)
    monkeypatch.setattr(module, "_logits", logits)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    units = np.arange(36) // 6 * 3 + np.arange(36) % 3  # two photos of one class each
    head = fit_penalty(photos.samples, 1.0, balanced=False)
    found = cross_fit(net, BLOCK, replace(photos, units=units), head, TUNING, Run(seed=0))
    assert found
    assert found.photos == 36
    assert found.is_clear(2.0)
    assert tuned == asked[::-1]
    assert tuned[0] | tuned[1] == set(range(36))
    assert not {units[i] for i in tuned[0]} & {units[i] for i in tuned[1]}
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_first_half_without_a_gain_ends_it(net: Network, photos: Photos) -> None:
    """The features already separate the classes, and a learning rate that changes nothing cannot improve on that."""
    features = 9 * np.eye(3, net.classifier.in_features, dtype=np.float32)
    val_features = features[photos.val.labels]
    photos = replace(
        photos, samples=LabelledFeatures(features[photos.train.labels], photos.train.labels), val_features=val_features
    )
    head = fit_penalty(photos.samples, 0.01, balanced=False)
    found = cross_fit(net, BLOCK, photos, head, replace(TUNING, epochs=1, learning_rate=1e-9), Run(seed=0))
    assert found
    assert found.mean < 0
    assert found.photos < 36


def test_a_class_of_one_scene_cannot_be_halved(net: Network, photos: Photos) -> None:
    units = np.where(photos.train.labels == 2, 100, photos.units)
    head = fit_penalty(photos.samples, 1.0, balanced=False)
    assert cross_fit(net, BLOCK, replace(photos, units=units), head, TUNING, Run(seed=0)) is None


def test_some_of_the_views() -> None:
    whole = Held(np.arange(12).reshape(6, 2))
    some = Subset(whole, np.array([4, 1]))
    assert some.views == 2
    assert some.rows(np.array([0, 1, 1]), np.array([1, 0, 1])).tolist() == [9, 2, 3]
