"""Keras Applications, in float32: the same logits to 1e-4 of their spread. Keras runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lungfish as lf
from lungfish.architecture import Flavour

pytestmark = pytest.mark.skipif(
    not (find_spec("keras") and find_spec("tensorflow") and find_spec("h5py")),
    reason="Keras, TensorFlow or h5py is not installed: make parity",
)
BOUND = 1e-4
LARGE_PX = 300  # larger pictures come in smaller batches: Keras holds every activation
SCRIPT = Path(__file__).with_name("keras_reference.py")
FORMATS = ("published.h5", "new.weights.h5", "whole.keras")


@dataclass(frozen=True)
class Case:
    model: str
    arguments: Mapping[str, float]
    ours: str

    def __str__(self) -> str:
        return self.model + "".join(f" {key} {value}" for key, value in self.arguments.items())


CASES = [
    *(Case("MobileNet", {"alpha": alpha}, f"mobilenet_v1:width={alpha}") for alpha in (0.25, 0.5, 0.75, 1.0)),
    *(
        Case("MobileNetV2", {"alpha": alpha}, f"mobilenet_v2:width={alpha}")
        for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
    ),
    *(Case(f"EfficientNetB{number}", {}, f"efficientnet_b{number}") for number in range(8)),
]


def run_keras(case: Case, x_nchw: Tensor, folder: Path, **settings: int) -> Tensor:
    """Keras's logits; its files of weights are left in the folder."""
    np.save(folder / "pictures.npy", x_nchw.float().numpy())
    command = [sys.executable, str(SCRIPT), case.model, json.dumps({**case.arguments, **settings}), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.from_numpy(np.load(folder / "logits.npy"))


def logits_of(network: nn.Module, x_nchw: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(each[None].float()) for each in x_nchw])


def judge_planted(case: Case, network: Any, judge: Callable[[nn.Module, str], None]) -> None:
    """The judgement has to refuse the network with one thing wrong."""
    for what, flavour in (("wrong epsilon", Flavour("same", 1e-5)), ("wrong padding", Flavour("symmetric", 1e-3))):
        wrong = lf.build(network.arch, flavour=flavour).eval()
        wrong.load_state_dict(network.state_dict())
        with pytest.raises(AssertionError, match=what):
            judge(wrong, what)


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=str)
def test_at_native_resolution(
    case: Case, pictures: Any, difference: Any, report: Any, compared: Any, tmp_path: Path
) -> None:
    arch = lf.arch(case.ours)
    x_nchw = pictures(arch.resolution_px, 1 if arch.resolution_px > LARGE_PX else 2)
    expected = run_keras(case, x_nchw, tmp_path)

    def judge(network: nn.Module, what: str) -> None:
        report.judge(compared("keras", str(case), what, difference(logits_of(network, x_nchw), expected), BOUND))

    network = lf.import_weights(tmp_path / "new.weights.h5", arch, source="keras")
    judge(network, f"{arch.resolution_px} px")
    if arch.resolution_px == 224:
        judge_planted(case, network, judge)


SMALL = [
    Case("MobileNet", {"alpha": 0.25}, "mobilenet_v1:width=0.25"),
    Case("MobileNetV2", {"alpha": 0.35}, "mobilenet_v2:width=0.35"),
    Case("EfficientNetB0", {}, "efficientnet_b0"),
]


@pytest.mark.parity
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_every_format_holds_the_same(case: Case, pictures: Any, difference: Any, tmp_path: Path) -> None:
    import h5py

    arch = lf.arch(f"{case.ours},classes=7" if ":" in case.ours else f"{case.ours}:classes=7")
    x_nchw = pictures(64, 2)
    expected = run_keras(case, x_nchw, tmp_path, classes=7)
    by_path = lf.import_weights(dict(np.load(tmp_path / "paths.npz")), arch, source="keras")
    assert difference(logits_of(by_path, x_nchw), expected) <= BOUND
    for name in FORMATS:
        network = lf.import_weights(tmp_path / name, arch, source="keras")
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, by_path.state_dict()[key]), (name, key)
    with h5py.File(tmp_path / "new.weights.h5", "r+") as file:  # early Keras 3 did not name the layers
        for layer in file["layers"].values():
            layer["vars"].attrs.pop("name", None)
    numbered = lf.import_weights(tmp_path / "new.weights.h5", arch, source="keras")
    for key, tensor in numbered.state_dict().items():
        assert torch.equal(tensor, by_path.state_dict()[key]), key
