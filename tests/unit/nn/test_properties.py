"""For any small architecture: the modules that are built are those of the lowering."""

from __future__ import annotations

import json

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lungfish.architecture import Arch, BlockRow, Flavour, NetworkTable, lower
from lungfish.architecture.flavour import Padding
from lungfish.costs import cost
from lungfish.nn import Network, build


@st.composite
def rows(draw: st.DrawFn, expands: st.SearchStrategy[int]) -> BlockRow:
    return BlockRow(
        expand=draw(expands),
        kernel=draw(st.sampled_from([1, 3, 5])),
        stride=draw(st.sampled_from([1, 2])),
        width=draw(st.integers(1, 24)),
        depth=draw(st.integers(1, 2)),
    )


@st.composite
def archs(draw: st.DrawFn) -> Arch:
    block = draw(st.sampled_from(["inverted_residual", "depthwise_separable", "full_convolution"]))
    residual = block == "inverted_residual"
    expands = st.sampled_from([1, 2, 6]) if residual else st.just(1)
    table = NetworkTable(
        source="drawn",
        rows=tuple(draw(st.lists(rows(expands), min_size=1, max_size=3))),
        block=block,  # type: ignore[arg-type]
        act=draw(st.sampled_from(["relu", "relu6", "silu"])),
        stem=draw(st.integers(1, 16)),
        head=draw(st.sampled_from([0, 8, 20])),
        squeeze=draw(st.sampled_from([0.0, 0.05, 0.25, 1.0])) if residual else 0.0,
        rounding=draw(st.sampled_from(["nearest_8", "down"])),
        stem_scales=draw(st.booleans()),
        head_scales=draw(st.sampled_from(["always", "up_only", "never"])),
        fixed_ends=draw(st.booleans()),
        initialization=draw(st.sampled_from(["fan_out", "truncated"])),
    )
    return Arch(
        "drawn",
        table,
        width=draw(st.floats(0.3, 2)),
        depth=draw(st.floats(0.3, 2)),
        native_px=draw(st.integers(16, 40)),
        classes=draw(st.integers(1, 5)),
        in_channels=draw(st.integers(1, 4)),
    )


def built_shapes(network: Network, side: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str) -> object:
        return lambda module, inputs, output: shapes.update({name: tuple(output.shape[1:])})

    for name, module in network.named_modules():
        module.register_forward_hook(keep(name))
    with torch.inference_mode():
        network.eval()(torch.randn(1, network.arch.in_channels, side, side))
    return shapes


@settings(max_examples=40, deadline=None)
@given(arch=archs(), padding=st.sampled_from(["same", "symmetric"]))
def test_the_built_network_has_the_shapes_and_parameters_of_its_lowering(arch: Arch, padding: Padding) -> None:
    network = build(arch, Flavour(padding), seed=0)
    assert sum(p.numel() for p in network.parameters()) == cost(arch).params
    shapes = built_shapes(network, arch.resolution_px)
    for op in lower(arch):
        if op.kind in ("conv", "norm", "act", "linear"):
            assert shapes[op.name] == op.out_shape, op.name


@settings(deadline=None)
@given(arch=archs(), phi=st.floats(0, 1))
def test_json_round_trips(arch: Arch, phi: float) -> None:
    scaled = arch.scale(phi=phi)
    again = Arch.from_json(json.dumps(scaled.to_json()))
    assert again == scaled
    assert again.to_json() == scaled.to_json()


@settings(max_examples=50, deadline=None)
@given(arch=archs(), width=st.floats(1, 2), depth=st.floats(1, 2), finer=st.integers(0, 20))
def test_scaling_up_never_lowers_cost(arch: Arch, width: float, depth: float, finer: int) -> None:
    before = cost(arch)
    after = cost(arch.scale(width=width, depth=depth, resolution=arch.resolution_px + finer))
    assert after.params >= before.params
    assert after.macs >= before.macs
