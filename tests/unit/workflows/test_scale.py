"""Scaling by factors and to a target, and the file that comes of it."""

from pathlib import Path
from typing import Any

import pytest

from lungfish.architecture import parse_arch
from lungfish.core.errors import ArchitectureError, OutputError, UsageError
from lungfish.costs import cost
from lungfish.workflows.scale import Scaling, scale

KEYS = {"name", "phi", "alpha", "beta", "gamma", "width", "depth", "resolution_px", "params", "macs"}


def test_the_json_of_the_contract() -> None:
    scaled = scale("efficientnet_b0", Scaling(phi=1.0)).to_json()
    assert set(scaled) == KEYS
    assert (scaled["phi"], scaled["alpha"], scaled["beta"], scaled["gamma"]) == (1.0, 1.2, 1.1, 1.15)
    assert (scaled["width"], scaled["depth"], scaled["resolution_px"]) == (1.1, 1.2, 256)


def test_factors() -> None:
    scaled = scale("mobilenet_v2", Scaling(width=0.75, depth=2.0, resolution=192))
    assert scaled.arch == parse_arch("mobilenet_v2:width=0.75,depth=2,resolution=192")
    assert (scaled.phi, scaled.solution) == (0.0, None)
    assert scaled.macs == cost(scaled.arch).macs


@pytest.mark.parametrize(
    ("scaling", "quantity", "limit"),
    [
        (Scaling(macs=600e6), "macs", 600e6),
        (Scaling(params=10e6), "params", 10e6),
        (Scaling(memory_mb=4.0), "peak_activation_bytes", 4e6),
        (Scaling(macs=200e6, by="resolution"), "macs", 200e6),
        (Scaling(params=3e6, by="width"), "params", 3e6),
    ],
)
def test_targets(scaling: Scaling, quantity: str, limit: float) -> None:
    scaled = scale("efficientnet_b0", scaling)
    achieved = getattr(cost(scaled.arch), quantity)
    assert scaled.solution is not None
    assert scaled.solution.achieved == achieved
    assert 0.8 * limit < achieved <= limit


def test_the_file_is_the_network(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for macs in (600e6, 500e6):  # the second replaces the first
        scaled = scale("efficientnet_b0", Scaling(macs=macs), file)
        assert parse_arch(str(file)) == scaled.arch


def test_what_is_no_architecture_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "notes.json"
    file.write_text("{}")
    with pytest.raises(OutputError, match="is not an architecture file"):
        scale("mobilenet_v2", Scaling(phi=1.0), file)
    with pytest.raises(OutputError, match=r"does not end in \.json"):
        scale("mobilenet_v2", Scaling(phi=1.0), tmp_path / "arch.txt")
    assert file.read_text() == "{}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "neither a factor nor a target is given"),
        ({"phi": 1.0, "macs": 3e8}, "--phi and --macs cannot be combined"),
        ({"width": 2.0, "memory_mb": 3.0}, "--width and --memory-mb cannot be combined"),
        ({"phi": 1.0, "by": "width"}, "--by width needs a target"),
    ],
)
def test_contradictions(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Scaling(**fields)


def test_two_targets_and_values_that_make_no_network() -> None:
    with pytest.raises(UsageError, match="macs and params"):
        scale("mobilenet_v2", Scaling(macs=3e8, params=3e6))
    for scaling in (Scaling(width=0.0), Scaling(phi=1e9), Scaling(resolution=8), Scaling(macs=1e4)):
        with pytest.raises(ArchitectureError):
            scale("mobilenet_v2", scaling)
