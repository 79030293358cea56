"""What a random split would have claimed, on made-up features."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungfish.data.scan.scenes import Scenes, no_scenes
from lungfish.job.bundle import scene_figures as module
from lungfish.job.bundle.scene_figures import summarize_scenes
from lungfish.training.probe import Head, LabelledFeatures

HEAD = Head(np.zeros((2, 64), np.float32), np.zeros(2, np.float32), 0.01, False, 1.0, {})


def photos_of_scenes(scenes: int, length: int, scenes_of: Scenes | None = None) -> Any:
    """Two classes that cannot be told apart, but for the scene that a photo is of."""
    rng = np.random.default_rng(0)
    count = scenes * length
    unit = np.repeat(np.arange(scenes), length)
    features = (rng.normal(size=(scenes, 64))[unit] + 0.01 * rng.normal(size=(count, 64))).astype(np.float32)
    truth = rng.permutation(np.arange(scenes) % 2)[unit]
    first = (unit * length)[:, None]
    pairs = np.hstack([first, np.arange(count)[:, None]])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    records = [SimpleNamespace(seen=SimpleNamespace(sha256=f"{hash((7, i)) % 16**8:064x}")) for i in range(count)]
    return SimpleNamespace(
        truth=truth,
        scenes=scenes_of or Scenes(pairs, count),
        copies=SimpleNamespace(groups=np.arange(count)),
        assignment=SimpleNamespace(units=unit),
        examined=SimpleNamespace(records=records),
        embedded_indices=lambda *_splits: np.arange(count),
        samples=lambda positions: LabelledFeatures(features[positions], truth[positions]),
    )


def test_torn_scenes_claim_what_whole_ones_do_not() -> None:
    summary = summarize_scenes(photos_of_scenes(40, 5), HEAD, 0)
    assert (summary.scenes, summary.photos, summary.largest, summary.judged) == (40, 200, 5, 200)
    assert summary.top1 is not None
    assert summary.random_top1 is not None
    assert summary.top1 < 0.75
    assert summary.random_top1 > 0.95


def test_of_many_photos_whole_scenes_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JUDGED", 52)
    dataset = photos_of_scenes(40, 5)
    summary = summarize_scenes(dataset, HEAD, 0)
    assert summary.judged == 50
    assert summary.photos == 200


@pytest.mark.parametrize("dataset", [photos_of_scenes(40, 1), photos_of_scenes(2, 20)])
def test_nothing_is_measured_where_it_would_show_nothing(dataset: Any) -> None:
    """No scenes; or one for each class."""
    summary = summarize_scenes(dataset, HEAD, 0)
    assert summary.top1 is summary.random_top1 is None


def test_without_a_head_or_without_knowing() -> None:
    assert summarize_scenes(photos_of_scenes(40, 5), None, 0).top1 is None
    unknown = summarize_scenes(photos_of_scenes(40, 5, no_scenes("why not")), HEAD, 0)
    assert (unknown.scenes, unknown.unknown, unknown.top1) == (0, "why not", None)
