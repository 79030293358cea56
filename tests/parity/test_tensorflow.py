"""The authors' networks in TensorFlow, and their checkpoints: the same logits, in float64, to 1e-9 of their spread.

TensorFlow computes in a process of its own; its checkpoint is then read here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lungfish as lf
from lungfish.core.errors import WeightsError
from lungfish.weights.convert.to_file import Provenance, convert_file
from lungfish.weights.formats.checkpoint import read_checkpoint

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not find_spec("tensorflow"), reason="TensorFlow is not installed: make parity"),
    pytest.mark.filterwarnings("default"),  # TensorFlow's own, at its import
]
BOUND = 1e-9
SIDE_PX = 64
SCRIPT = Path(__file__).with_name("tensorflow_reference.py")


@dataclass(frozen=True)
class Case:
    source: str
    name: str
    averages: bool

    def __str__(self) -> str:
        return f"{self.name}{'+averages' if self.averages else ''}"


V1 = Case("slim", "mobilenet_v1", averages=False)
V2_AVERAGED = Case("slim", "mobilenet_v2", averages=True)
B0 = Case("tpu", "efficientnet_b0", averages=False)
CASES = [
    V1,
    Case("slim", "mobilenet_v1", averages=True),
    V2_AVERAGED,
    B0,
    Case("tpu", "efficientnet_b0", averages=True),
    Case("tpu", "efficientnet_lite0", averages=True),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensorflow")


def run_tensorflow(case: Case, pictures: Any, folder: Path) -> Path:
    """A folder with the pictures, their logits and the checkpoint net.ckpt; made once."""
    created = folder / str(case)
    if not created.is_dir():
        created.mkdir()
        np.save(created / "pictures.npy", pictures(SIDE_PX, 2).float().permute(0, 2, 3, 1).numpy())
        command = [sys.executable, str(SCRIPT), str(case), str(created)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
    return created


def logits_of(network: nn.Module, created: Path) -> torch.Tensor:
    x_nchw = torch.from_numpy(np.load(created / "pictures.npy")).permute(0, 3, 1, 2)
    network.double()
    with torch.inference_mode():
        return network(x_nchw.double().contiguous())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_logits(case: Case, pictures: Any, difference: Any, report: Any, compared: Any, folder: Path) -> None:
    created = run_tensorflow(case, pictures, folder)
    expected = torch.from_numpy(np.load(created / "logits.npy"))

    def judge(network: nn.Module, expected: torch.Tensor, what: str) -> None:
        found = difference(logits_of(network, created), expected)
        report.judge(compared(case.source, str(case), what, found, BOUND))

    if case.source == "slim":
        every = lf.import_weights(created / "net.ckpt", lf.arch(f"{case.name}:classes=1001"), source="slim")
        judge(every, expected, "1,001 classes")
        expected = expected[:, 1:]
    network = lf.import_weights(created / "net.ckpt.index", lf.arch(case.name), source=case.source)
    judge(network, expected, f"{SIDE_PX} px")
    state = network.state_dict()
    for key in [key for key in state if key.startswith("blocks.7.depthwise.norm")]:
        other = key.replace("blocks.7", "blocks.8")  # as wide in every network
        state[key], state[other] = state[other].clone(), state[key].clone()
    network.load_state_dict(state)
    with pytest.raises(AssertionError, match="wrong numbers"):
        judge(network, expected, "wrong numbers of two blocks")


@pytest.mark.parametrize("case", [V1, V2_AVERAGED, B0], ids=str)
def test_a_converted_checkpoint(case: Case, pictures: Any, folder: Path, tmp_path: Path, lungfish: Any) -> None:
    created, arch, out = run_tensorflow(case, pictures, folder), lf.arch(case.name), tmp_path / "a.safetensors"
    imported = lf.import_weights(created / "net.ckpt", arch, source=case.source)
    state = {key: tensor for key, tensor in imported.state_dict().items() if not key.endswith("num_batches_tracked")}
    row = lungfish("weights", "convert", created / "net.ckpt", "--arch", case.name, "--out", out, "--json").json
    assert row["source"] == case.source
    assert row["averages"] == (len(state) if case.averages else 0)
    assert ("class 0 of 1,001, the background" in row["dropped"]) == (case.source == "slim")
    assert any("RMSProp_1" in what for what in row["dropped"]) == case.averages
    built = lf.build(arch, out)
    assert built.flavour == imported.flavour
    for key, tensor in state.items():
        assert torch.equal(built.state_dict()[key], tensor), key
    again = convert_file(created / "net.ckpt.index", arch, case.source, tmp_path / "b.safetensors", Provenance())
    assert again.sha256_before == row["sha256_before"]


def damaged(created: Path, tmp_path: Path, ending: str, change: Any) -> Path:
    """A copy of a checkpoint, one of its files changed."""
    for file in created.glob("net.ckpt.*"):
        data = file.read_bytes()
        (tmp_path / file.name).write_bytes(change(data) if ending in file.name else data)
    return tmp_path / "net.ckpt"


@pytest.mark.parametrize(
    ("ending", "change", "why"),
    [
        (".index", lambda data: data[:100], "cannot read net.ckpt"),
        (".index", lambda data: bytes(len(data)), "cannot read net.ckpt"),
        (".data", lambda data: data[:1000], r"claims to contain 17,\d+,\d+ bytes but has"),
        (".data", lambda data: b"\x7f" * len(data), "cannot read net.ckpt"),  # TensorFlow checks a sum for each tensor
    ],
)
def test_damaged_files(ending: str, change: Any, why: str, pictures: Any, folder: Path, tmp_path: Path) -> None:
    created = run_tensorflow(V1, pictures, folder)
    with pytest.raises(WeightsError, match=why):
        lf.import_weights(damaged(created, tmp_path, ending, change), lf.arch("mobilenet_v1"), source="slim")


def test_text_and_numbers_that_are_not_finite(tmp_path: Path) -> None:
    import tensorflow as tf

    arch = lf.arch("mobilenet_v1:width=0.25,resolution=32,classes=5")
    variables = plain_variables(arch)
    for bad, why in (
        (np.full_like(variables[STEM], np.nan), "contains NaN"),
        (np.full((3, 3, 3, 8), "x"), "is of type"),
    ):
        tensors = variables | {STEM: bad}
        write(tf, tmp_path / "bad.ckpt", tensors)
        with pytest.raises(WeightsError, match=f"cannot be used: {STEM} {why}"):
            lf.import_weights(tmp_path / "bad.ckpt", arch, source="slim")


def test_half_precision(tmp_path: Path) -> None:
    import tensorflow as tf

    arch = lf.arch("mobilenet_v1:width=0.25,resolution=32,classes=5")
    variables = plain_variables(arch)
    write(tf, tmp_path / "half.ckpt", variables | {STEM: tf.cast(variables[STEM], tf.bfloat16)})
    stem = read_checkpoint(tmp_path / "half.ckpt", arch, "slim")[STEM]
    np.testing.assert_allclose(stem, variables[STEM], rtol=2**-8)


STEM = "MobilenetV1/Conv2d_0/weights"


def plain_variables(arch: lf.Arch) -> dict[str, Any]:
    from lungfish.weights.layouts import find_layout, tensor_slots

    rng = np.random.default_rng(0)
    where = tensor_slots(arch, find_layout("slim", arch)).values()
    return {place.name: rng.uniform(0.5, 1, place.shape).astype(np.float32) for place in where}


def write(tf: Any, prefix: Path, tensors: dict[str, Any]) -> None:
    values = [tf.constant(value) for value in tensors.values()]
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors), tensors=values
    )
