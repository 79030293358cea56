"""A bundle by its folder, or by the name of a set of weights; and what `lungfish.predict` takes beside paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lungfish as lf
from lungfish.core.errors import UsageError
from lungfish.workflows import published_bundle


def test_a_folder(color_bundle: Path) -> None:
    assert lf.load(color_bundle).labels == lf.load(str(color_bundle)).labels == ("red", "green", "blue")


def test_a_name(color_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(published_bundle, "published_bundle", lambda name, _: asked.append(name) or color_bundle)
    assert lf.load("efficientnet_lite0.in1k").folder == color_bundle
    assert asked == ["efficientnet_lite0.in1k"]


def test_neither(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no bundle or weights called efficientnet_lite0\.in1\nDid you mean"):
        lf.load("efficientnet_lite0.in1")
    with pytest.raises(UsageError, match=r"there is no folder .*gone\nAllowed: "):
        lf.load(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; a bundle is a folder"):
        lf.load(tmp_path / "file")


def test_predict_takes_a_bundle_and_every_kind_of_picture(color_bundle: Path, color_photos: Path) -> None:
    bundle, red = lf.load(color_bundle), Image.new("RGB", (9, 9), (255, 0, 0))
    rows = lf.predict(
        bundle, [color_photos / "blue", red, np.asarray(red), (color_photos / "green" / "0.png").read_bytes()]
    )
    assert [row.label for row in rows] == ["blue"] * 3 + ["red", "red", "green"]
    assert [row.label for row in lf.predict(color_bundle, str(color_photos / "green" / "0.png"))] == ["green"]


def test_evaluate_takes_a_bundle_and_reads_well(color_bundle: Path, color_photos: Path) -> None:
    measured = lf.evaluate(lf.load(color_bundle), color_photos)
    assert repr(measured) == "<Evaluation on 9 photos (all): model.onnx 100.0 % right>"
