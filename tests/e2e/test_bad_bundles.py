"""Bundles that cannot be trusted, as the commands say it; `tests/unit/runtime` has all the ways."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

Refusal = Callable[..., str]
Untouched = Callable[[Path], AbstractContextManager[None]]
Rewrite = Callable[[Path, Callable[[dict[str, Any]], None]], None]


def missing(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    (bundle / "model.onnx").unlink()


def truncated(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    data = (bundle / "labels.txt").read_bytes()
    (bundle / "labels.txt").write_bytes(data[:-1])


def edited(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    data = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def outside(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    shutil.copy(bundle / "model.onnx", bundle.parent)
    rewrite(bundle, lambda manifest: manifest["artifacts"][0].update(file="../model.onnx"))
    rewrite(bundle, lambda manifest: manifest.update(default="../model.onnx"))


def external(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    proto = model()
    proto.graph.initializer[1].data_location = 1
    proto.graph.initializer[1].external_data.add(key="location", value="../../etc/passwd")
    data = proto.SerializeToString()
    (bundle / "model.onnx").write_bytes(data)
    file = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    rewrite(bundle, lambda manifest: manifest["artifacts"][0].update(file | {"files": {"model.onnx": file}}))


def newer(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    rewrite(bundle, lambda manifest: manifest.update(schema=2))


def unknown(bundle: Path, rewrite: Rewrite, model: Any) -> None:
    rewrite(bundle, lambda manifest: manifest.update(architecture={"name": "resnet_900"}))


@pytest.fixture
def damaged(
    request: pytest.FixtureRequest, color_bundle: Path, rewrite: Rewrite, color_model: Callable[..., Any]
) -> Path:
    request.param(color_bundle, rewrite, color_model)
    return color_bundle


@pytest.mark.parametrize(
    ("damaged", "words"),
    [
        (missing, r"model\.onnx is missing from .*color-bundle\nCopy the bundle again"),
        (truncated, r"labels\.txt has 13 bytes; bundle\.json says 14\nCopy"),
        (edited, r"model\.onnx was altered: its SHA-256 is not the one in bundle\.json\nCopy"),
        (outside, r"bundle\.json.*'\.\./model\.onnx'; it must be a plain file name inside the bundle\nCopy"),
        (external, r"the model stores tensors in other files.*\n"),
        (newer, r"bundle\.json has schema 2; this version of lungfish reads up to 1\nUpgrade lungfish: pip install"),
        (unknown, r"unknown architecture resnet_900: .*\nIf a newer lungfish made the bundle, upgrade"),
    ],
    indirect=["damaged"],
)
def test_bundles_that_cannot_be_trusted(
    refusal: Refusal, damaged: Path, color_photos: Path, untouched: Untouched, words: str
) -> None:
    with untouched(damaged.parent):
        for command in ("predict", "evaluate"):
            assert re.match(words, refusal(command, damaged, color_photos, code=1))


def test_a_trained_bundle_that_was_edited(trained: Any, refusal: Refusal, tmp_path: Path) -> None:
    bundle = shutil.copytree(trained.bundle, tmp_path / "bundle")
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    for name in (*manifest["files"], "model.onnx", "model-int8.onnx"):
        whole = (bundle / name).read_bytes()
        (bundle / name).write_bytes(whole + b" ")
        assert name in refusal("predict", bundle, trained.photos / "0" / "0000.png", code=1)
        (bundle / name).write_bytes(whole)
