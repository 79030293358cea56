"""From a hub of this machine to a classifier with files that Keras wrote, and `verify` against Keras itself.

The names of timm go the same way in `tests/e2e/test_weights_cycle.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lungfish.architecture import parse_arch
from lungfish.core.errors import WeightsError
from lungfish.core.hashing import sha256_file
from lungfish.weights.verify.keras_reference import KerasReference

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        not (find_spec("keras") and find_spec("tensorflow") and find_spec("h5py")),
        reason="Keras, TensorFlow or h5py is not installed: make parity",
    ),
]
Run = Callable[..., Any]
SCRIPT = Path(__file__).with_name("keras_reference.py")
REPOSITORY = "someone/mobilenet"
NAME = f"hf:{REPOSITORY}"
LICENSE = "openrail"
ARCH = "mobilenet_v1:width=0.25,resolution=64"


@pytest.fixture(scope="module")
def write_keras(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder into which Keras wrote a random network of its own in every format."""

    def write(model: str, arguments: dict[str, float]) -> Path:
        folder = tmp_path_factory.mktemp(model)
        np.save(folder / "pictures.npy", np.random.default_rng(0).normal(size=(4, 3, 64, 64)).astype(np.float32))
        command = [sys.executable, str(SCRIPT), model, json.dumps(arguments), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        return folder

    return write


@pytest.fixture(scope="module")
def mobilenet(write_keras: Callable[..., Path]) -> Path:
    return write_keras("MobileNet", {"alpha": 0.25})


@pytest.fixture
def photos(write_digits: Callable[..., Path], tmp_path: Path) -> Path:
    return write_digits(tmp_path / "digits", count=12)


def verified(lungfish: Run, name: str, model: str, photos: Path) -> Any:
    """The JSON of `weights verify` against Keras, which must be equal."""
    ended = lungfish("weights", "verify", name, "--images", photos, "--json")
    assert ended.code == 0, ended.out + ended.err
    row = ended.json
    assert row["reference"].startswith("keras ")
    assert row["reference"].endswith(f" {model}")
    assert (row["images"], row["top1_agreement"]) == (36, 1.0)
    assert row["spread"] > 0.05
    assert row["max_abs_diff"] <= 1e-4 * row["spread"]
    return row


def test_the_whole_cycle(
    publish_model: Callable[..., str], mobilenet: Path, lungfish: Run, photos: Path, cache: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(mobilenet / "published.h5", repository / "mobilenet_2_5_64_tf.h5")
    assert publish_model(REPOSITORY, repository, LICENSE, "keras") == NAME
    rows = lungfish("weights", "search", REPOSITORY, "--online", "--json").json
    assert (NAME, LICENSE) in [(row["name"], row["license"]) for row in rows]

    fetch = ("weights", "fetch", NAME)
    assert "Give it once with --arch, for example: lungfish weights fetch NAME --arch" in lungfish(*fetch).err
    refused = lungfish(*fetch, "--arch", ARCH)
    assert refused.code == 2
    assert f"--accept-license {LICENSE}" in refused.err
    ended = lungfish(*fetch, "--arch", ARCH, "--accept-license", LICENSE, "--json")
    assert ended.code == 0, ended.err
    fetched = ended.json
    assert fetched["sha256"] == sha256_file(mobilenet / "published.h5")

    out = tmp_path / "mine.safetensors"
    assert lungfish("weights", "convert", fetched["file"], "--arch", ARCH, "--out", out).code == 0
    (kept,) = (cache / "weights" / "blobs").glob(f"{fetched['converted_sha256']}*")
    byhand = load_file(out)
    assert all(torch.equal(tensor, byhand.pop(name)) for name, tensor in load_file(kept).items())
    assert not byhand

    row = verified(lungfish, NAME, "MobileNet", photos)
    assert f"against {row['reference']}" in lungfish("weights", "show", NAME).out

    ended = lungfish("train", photos, "--recipe", "probe", "--weights", NAME, "--out", tmp_path / "bundle")
    assert ended.code == 0, ended.err
    record = json.loads((tmp_path / "bundle" / "bundle.json").read_text(encoding="utf-8"))["weights"]["record"]
    assert (record["entry"]["license"], record["accepted_license"]) == (LICENSE, LICENSE)
    assert (record["entry"]["sha256"], record["converted_sha256"]) == (fetched["sha256"], fetched["converted_sha256"])
    assert record["verified"]["reference"] == row["reference"]
    assert f"License:    {LICENSE}" in lungfish("weights", "licenses", tmp_path / "bundle").out
    assert lungfish("predict", NAME, photos / "0" / "0000.png").code == 0


MODELS = [
    ("MobileNetV2", {"alpha": 0.35}, "mobilenet_v2:width=0.35,resolution=64"),
    ("EfficientNetB0", {}, "efficientnet_b0:resolution=64"),
]


@pytest.mark.parametrize(("model", "arguments", "arch"), MODELS, ids=[model for model, *_ in MODELS])
def test_keras_computes_what_we_compute(
    write_keras: Callable[..., Path], lungfish: Run, photos: Path, model: str, arguments: dict[str, float], arch: str
) -> None:
    """In the layout of the published files, in Keras 3's, and in that of whole models."""
    folder = write_keras(model, arguments)
    for file in ("published.h5", "new.weights.h5", "whole.keras"):
        name = f"file:{folder / file}"
        ended = lungfish("weights", "fetch", name, "--arch", arch, "--accept-license", "NOASSERTION")
        assert ended.code == 0, ended.err
        verified(lungfish, name, model, photos)


def test_a_file_keeps_its_layout_in_the_store(
    publish_model: Callable[..., str], mobilenet: Path, lungfish: Run, photos: Path, tmp_path: Path
) -> None:
    """The store knows it as HASH.h5, but Keras goes by names that end in .weights.h5."""
    repository = tmp_path / "repository"
    repository.mkdir()
    shutil.copy(mobilenet / "new.weights.h5", repository)
    name = publish_model(REPOSITORY, repository, "mit", "keras")
    assert lungfish("weights", "fetch", name, "--arch", ARCH).code == 0
    verified(lungfish, name, "MobileNet", photos)


def test_keras_that_refuses_the_file(mobilenet: Path, capfd: pytest.CaptureFixture[str]) -> None:
    twice_as_wide = parse_arch("mobilenet_v1:width=0.5,resolution=64")
    reference = KerasReference("MobileNet", twice_as_wide, mobilenet / "whole.keras")
    with pytest.raises(WeightsError, match="Keras ended with exit code 1"):
        reference(np.zeros((1, 3, 64, 64), np.float32))
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("ValueError: ")
    assert len(said[-1]) < 300  # no tensors
    assert not [line for line in said if line.startswith("Traceback") or "Warning: " in line]
