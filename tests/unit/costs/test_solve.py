from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import lungfish as lf
from lungfish.architecture import NAMED, Arch
from lungfish.core.errors import ArchitectureError, LungfishError, UnknownNameError, UsageError
from lungfish.costs import cost, solve
from lungfish.nn import build

B0, V2 = NAMED["efficientnet_b0"], NAMED["mobilenet_v2"]


def measured(arch: Arch, quantity: str) -> int:
    found = cost(arch)
    return {"macs": found.macs, "params": found.params, "memory_bytes": found.peak_activation_bytes}[quantity]


def next_step(arch: Arch, by: str, value: float) -> Arch:
    if by == "phi":
        return arch.scale(phi=value + 0.001)
    return arch.scale(width=value + 0.001) if by == "width" else arch.scale(resolution=int(value) + 8)


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "efficientnet_lite2"])
@pytest.mark.parametrize(
    ("target", "by"),
    [
        ({"macs": 600e6}, "phi"),
        ({"macs": 100e6}, "phi"),
        ({"macs": 600e6}, "width"),
        ({"macs": 200e6}, "resolution"),
        ({"params": 10e6}, "phi"),
        ({"params": 2e6}, "width"),
        ({"memory_bytes": 2_000_000}, "phi"),
        ({"memory_bytes": 9_000_000}, "width"),
        ({"memory_bytes": 3_000_000}, "resolution"),
    ],
)
def test_the_target_is_kept_and_one_step_more_would_break_it(name: str, target: dict[str, Any], by: str) -> None:
    ((quantity, bound),) = target.items()
    found = solve(NAMED[name], **target, by=by)
    assert (found.quantity, found.target, found.by) == (quantity, int(bound), by)
    assert found.achieved == measured(found.arch, quantity) <= bound
    assert measured(next_step(NAMED[name], by, found.value), quantity) > bound


def test_a_network_solves_for_its_own_cost() -> None:
    for by in ("width", "resolution"):
        assert solve(V2, macs=cost(V2).macs, by=by).achieved == cost(V2).macs
    assert solve(V2, macs=cost(V2).macs).achieved == cost(V2).macs


def test_computed_resolutions_are_multiples_of_8() -> None:
    assert solve(NAMED["efficientnet_b2"], macs=1e9, by="resolution").arch.resolution_px % 8 == 0


def test_memory_in_int8_allows_four_times_the_activations() -> None:
    bound = 1_000_000
    found = solve(B0, memory_bytes=bound, by="resolution", precision="int8")
    assert found.achieved == cost(found.arch, "int8").peak_activation_bytes <= bound
    assert found.arch.resolution_px > solve(B0, memory_bytes=bound, by="resolution").arch.resolution_px


def test_it_says_what_the_network_costs() -> None:
    for found in (lf.solve(B0, macs=600e6), lf.solve(B0, params=3e6, by="width"), lf.solve(B0, memory_bytes=4_000_000)):
        counted = cost(found.arch)
        assert (found.macs, found.params) == (counted.macs, counted.params)
        assert found.peak_activation_bytes == counted.peak_activation_bytes
        assert found.arch == (B0.scale(phi=found.phi) if found.by == "phi" else B0.scale(width=found.value))
        assert found.phi == (found.value if found.by == "phi" else 0)


@pytest.mark.parametrize("native_px", [32, 35, 36, 224])
def test_a_network_of_small_strides(native_px: int) -> None:
    """As for pictures of 32 pixels: the smallest sizes are rounded to none."""
    rows = tuple(replace(row, stride=1) for row in V2.table.rows)
    table = replace(V2.table, rows=rows)
    arch = replace(V2, name="cifar", table=table, native_px=native_px)
    assert arch.total_stride == 2
    target = cost(arch).macs // 4
    assert solve(arch, macs=target).achieved <= target
    with pytest.raises(ArchitectureError, match=": the smallest network has"):
        solve(arch, macs=1000)


def test_it_starts_from_any_network() -> None:
    small = V2.scale(width=0.35, resolution=96)
    assert solve(small, macs=100e6).achieved <= 100e6
    assert solve(small, macs=100e6).value > 0
    assert solve(NAMED["efficientnet_b7"], macs=100e6).value < 0


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ({}, UsageError, "expected exactly one of macs, params, memory_bytes; got none"),
        (
            {"macs": 1e6, "params": 1e6},
            UsageError,
            "expected exactly one of macs, params, memory_bytes; got macs and params",
        ),
        ({"macs": "150M"}, UsageError, "macs is '150M'; it must be a number of at least 1"),
        ({"macs": 0}, UsageError, "macs is 0; it must be a number of at least 1"),
        ({"macs": -5.0}, UsageError, "macs is -5.0; it must be a number of at least 1"),
        ({"params": float("nan")}, UsageError, "params is nan; it must be a number of at least 1"),
        ({"params": float("inf")}, UsageError, "params is inf; it must be a number of at least 1"),
        ({"params": 1e6, "by": "resolution"}, UsageError, "parameters do not depend on the resolution"),
        ({"macs": 1e6, "by": "depth"}, UnknownNameError, "unknown axis of scaling: 'depth'"),
        ({"memory_bytes": 1e6, "precision": "fp8"}, UnknownNameError, "unknown precision: 'fp8'"),
        ({"macs": 1000}, ArchitectureError, "cannot scale to macs of 1,000 by phi: the smallest network has "),
        ({"macs": 1e20}, ArchitectureError, "cannot scale to macs of 100,000,000,000,000,000,000 by phi: the largest"),
        (
            {"macs": 1e20, "by": "width"},
            ArchitectureError,
            "cannot scale to macs of 100,000,000,000,000,000,000 by width: the largest",
        ),
        (
            {"macs": 1e20, "by": "resolution"},
            ArchitectureError,
            "cannot scale to macs of 100,000,000,000,000,000,000 by resolution: the largest",
        ),
    ],
)
def test_a_target_that_cannot_be_met(target: dict[str, Any], error: type[LungfishError], message: str) -> None:
    with pytest.raises(error) as caught:
        solve(B0, **target)
    assert caught.value.message.startswith(message)


def test_a_name_or_a_network_can_be_solved_for() -> None:
    found = solve(B0, macs=150e6)
    assert solve("efficientnet_b0", macs=150e6) == found
    assert solve(build(B0.scale(depth=0.2, width=0.2), seed=0), params=1e6).arch.table == B0.table
