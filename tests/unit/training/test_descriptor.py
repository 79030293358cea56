"""The network that scenes are found by: the packaged one, and the job's own trunk if that is the same."""

from dataclasses import replace

import pytest

from lungfish.job.start import choose_start
from lungfish.training import descriptor as module
from lungfish.training.descriptor import NAME, open_descriptor
from lungfish.training.trunk import OnnxTrunk
from lungfish.weights.load import load_weights


def test_the_default_job_has_its_features_already() -> None:
    start = choose_start(None, None)
    descriptor = open_descriptor()
    assert start.entry.name == NAME
    assert descriptor is not None
    assert descriptor.preprocess == start.preprocess
    own = OnnxTrunk(load_weights(start.entry, start.arch), start.entry)
    assert descriptor.trunk.key == own.key
    same = open_descriptor(own, start.entry)
    assert same is not None
    assert same.trunk is own, "it is not loaded again"


def test_another_resolution_or_other_weights_are_not_it() -> None:
    start = choose_start("efficientnet_lite0:resolution=64", None)
    own = OnnxTrunk(load_weights(start.entry, start.arch), start.entry)
    for entry in (start.entry, replace(start.entry, name="mine")):
        descriptor = open_descriptor(own, entry)
        assert descriptor is not None
        assert descriptor.trunk is not own
        assert descriptor.preprocess.resolution_px == 224


def test_without_its_weights_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "local_file", lambda _entry: None)
    assert open_descriptor() is None
