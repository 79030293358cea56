"""One network, described."""

import json
from pathlib import Path

import pytest

from lungfish.architecture import parse_arch
from lungfish.core.errors import OutputError, UnknownNameError
from lungfish.nn import build
from lungfish.workflows.describe import describe

KEYS = {"name", "params", "macs", "blocks", "resolution_px", "peak_activation_bytes", "layers"}
LAYER_KEYS = {"name", "op", "in_shape", "out_shape", "params", "macs"}


def test_the_json_holds_the_contract_and_adds_up() -> None:
    described = json.loads(json.dumps(describe("efficientnet_b4").to_json()))
    assert set(described) >= KEYS
    assert all(set(layer) >= LAYER_KEYS for layer in described["layers"])
    assert described["blocks"] == 32
    assert described["params"] == sum(layer["params"] for layer in described["layers"]) == 19_341_616
    assert described["macs"] == sum(layer["macs"] for layer in described["layers"])


def test_bytes_follow_the_precision() -> None:
    fp32, int8 = (describe("mobilenet_v2", precision).cost.peak_activation_bytes for precision in ("fp32", "int8"))
    assert fp32 == 4 * int8
    with pytest.raises(UnknownNameError, match="int4"):
        describe("mobilenet_v2", "int4")


def test_a_picture_is_written(tmp_path: Path) -> None:
    describe("mobilenet_v2", plot=tmp_path / "v2.svg")
    assert (tmp_path / "v2.svg").read_text().startswith("<svg ")


def test_nothing_is_written_under_a_wrong_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"neither \.svg nor \.png"):
        describe("mobilenet_v2", plot=tmp_path / "v2.pdf")
    with pytest.raises(UnknownNameError):
        describe("mobilenet_v3", plot=tmp_path / "v3.svg")
    assert list(tmp_path.iterdir()) == []


def test_it_prints_as_its_table_and_figures(tmp_path: Path) -> None:
    arch = parse_arch("mobilenet_v2:resolution=96")
    description = describe(arch)
    assert describe(build(arch, seed=0), plot=str(tmp_path / "v2.svg")) == description == describe(arch.name)
    printed = repr(description)
    assert printed.startswith(str(arch))
    assert f"multiply-adds              {description.cost.macs:,}\n" in printed
