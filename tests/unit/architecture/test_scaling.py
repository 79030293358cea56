from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lungfish.architecture import COMPOUND, NAMED, Arch, lower, parse_arch
from lungfish.core.errors import ArchitectureError

B0 = NAMED["efficientnet_b0"]


def test_the_papers_coefficients() -> None:
    assert (COMPOUND.alpha, COMPOUND.beta, COMPOUND.gamma) == (1.2, 1.1, 1.15)
    assert COMPOUND.alpha * COMPOUND.beta**2 * COMPOUND.gamma**2 == pytest.approx(2, rel=0.05)


def test_phi_multiplies_depth_width_and_resolution() -> None:
    arch = B0.scale(phi=2)
    assert (arch.depth, arch.width) == pytest.approx((1.44, 1.21))
    assert arch.resolution_px == 296  # 224 * 1.15 ** 2 = 296.24


def test_phi_0_changes_nothing() -> None:
    assert B0.scale(phi=0) == B0
    assert B0.scale().name == B0.name


def test_computed_resolutions_are_multiples_of_8_and_given_ones_stay() -> None:
    b2 = NAMED["efficientnet_b2"]
    assert b2.resolution_px == 260
    assert b2.scale(phi=0.01).resolution_px == 264
    assert b2.scale(resolution=193).resolution_px == 193


def test_each_number_scales_alone() -> None:
    arch = B0.scale(width=0.5, depth=2, resolution=160)
    assert (arch.width, arch.depth, arch.resolution_px) == (0.5, 2.0, 160)


@pytest.mark.parametrize("arch", NAMED.values(), ids=lambda arch: arch.name)
@settings(max_examples=20, deadline=None)
@given(first=st.floats(-2, 2), second=st.floats(-2, 2))
def test_scaling_twice_equals_scaling_once(arch: Arch, first: float, second: float) -> None:
    assume(abs(first + second) < 2)
    twice, once = arch.scale(phi=first).scale(phi=second), arch.scale(phi=first + second)
    assert lower(twice) == lower(once)
    assert twice == once


def test_multipliers_that_any_number_of_digits_would_tell_apart() -> None:
    """The last digit of the one rounds up, that of the other down."""
    twice, once = B0.scale(phi=1.297).scale(phi=0.791), B0.scale(phi=1.297 + 0.791)
    assert (f"{twice.width:.12g}", f"{once.width:.12g}") == ("1.22019130695", "1.22019130696")
    assert twice == once
    assert hash(twice) == hash(once)
    assert B0.scale(width=1.1) != B0.scale(width=1.1 + 1e-9)


def test_there_and_back() -> None:
    b2 = NAMED["efficientnet_b2"]
    assert b2.scale(phi=0.3).scale(phi=-0.3) == b2
    assert b2.scale(phi=0.3).scale(phi=-0.3).resolution_px == 260


@settings(deadline=None)
@given(first=st.sampled_from([0.25, 0.35, 0.5, 0.75, 1.1, 1.25, 1.4, 2]), second=st.sampled_from([0.5, 0.8, 1.3, 3]))
def test_widths_and_depths_multiply(first: float, second: float) -> None:
    assert B0.scale(width=first).scale(width=second) == B0.scale(width=first * second)
    assert B0.scale(depth=first).scale(depth=second) == B0.scale(depth=first * second)
    assert B0.scale(width=second, depth=first) == B0.scale(depth=first).scale(width=second)


@pytest.mark.parametrize("phi", [0.1, 0.3, 0.5, 1.0, 1.7])
def test_two_equal_steps_are_equal_to_one(phi: float) -> None:
    assert B0.scale(phi=phi).scale(phi=phi) == B0.scale(phi=2 * phi)


def test_the_name_says_how_it_was_scaled() -> None:
    arch = B0.scale(phi=0.5).scale(width=0.75, resolution=192)
    assert arch.name == "efficientnet_b0:phi=0.5,width=0.75,resolution=192"
    assert parse_arch(arch.name) == arch


def test_a_network_may_be_scaled_any_number_of_times() -> None:
    arch = B0
    for _ in range(50):
        arch = arch.scale(phi=0.25).scale(phi=-0.25)
    assert lower(arch) == lower(B0)
    assert len(arch.name) == 200
    assert arch.name.startswith("efficientnet_b0:phi=0.25,phi=-0.25,")
    assert arch.name.endswith("...")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phi": 22}, "efficientnet_b0 scaled by phi=22: resolution_px is 4848; it must be a whole number from 32"),
        ({"phi": -15}, "efficientnet_b0 scaled by phi=-15: resolution_px is 24; it must be a whole number from"),
        ({"phi": 1e308}, "phi is 1e+308; it must be a number from -100 to 100"),
        ({"phi": float("nan")}, "phi is nan; it must be a number from"),
        ({"phi": "1"}, "phi is '1'; it must be a number from"),
        ({"width": 0}, "width is 0; it must be a number above 0 and at most 64"),
        ({"width": -1.0}, "width is -1.0; it must be a number above 0 and at most"),
        ({"depth": 1e9}, "depth is 1000000000.0; it must be a number above 0 and at most"),
        (
            {"resolution": 16},
            "efficientnet_b0 scaled by resolution=16: resolution_px is 16; it must be a whole number from",
        ),
        (
            {"resolution": 10**9},
            "efficientnet_b0 scaled by resolution=1000000000: native_px is 1000000000; it must be a whole number from",
        ),
        (
            {"resolution": 192.0},
            "efficientnet_b0 scaled by resolution=192.0: native_px is 192.0; it must be a whole number from",
        ),
    ],
)
def test_a_value_that_makes_no_network(change: dict[str, float], message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        B0.scale(**change)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)
