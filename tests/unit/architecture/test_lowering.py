from __future__ import annotations

import pytest

from lungfish.architecture import INPUT, NAMED, Arch, Op, lower


def by_name(arch: Arch) -> dict[str, Op]:
    return {op.name: op for op in lower(arch)}


@pytest.mark.parametrize("arch", NAMED.values(), ids=lambda arch: arch.name)
def test_inputs_come_before_outputs_and_shapes_agree(arch: Arch) -> None:
    shapes: dict[str, tuple[int, ...]] = {INPUT: (3, arch.resolution_px, arch.resolution_px)}
    for op in lower(arch):
        assert op.name not in shapes
        assert shapes[op.inputs[0]] == op.in_shape
        assert all(name in shapes for name in op.inputs)
        shapes[op.name] = op.out_shape
    assert shapes["classifier"] == (1000,)
    assert shapes["pool"] == (arch.head_width,)


def test_mobilenet_v1_is_13_depthwise_separable_blocks() -> None:
    ops = by_name(NAMED["mobilenet_v1"])
    widths = [ops[f"blocks.{i}.pointwise.conv"].out_shape[0] for i in range(13)]
    strides = [ops[f"blocks.{i}.depthwise.conv"].stride for i in range(13)]
    assert widths == [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    assert strides == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    assert "blocks.13.pointwise.conv" not in ops
    assert ops["blocks.3.depthwise.conv"].groups == 128
    assert ops["blocks.3.pointwise.act"].function == "relu6"
    assert not any(op.kind == "add" for op in ops.values())
    assert ops["pool"].in_shape == (1024, 7, 7)


def test_the_full_convolution_twin_has_the_same_shapes() -> None:
    separable, full = by_name(NAMED["mobilenet_v1"]), by_name(NAMED["mobilenet_v1_full"])
    for i in range(13):
        conv = full[f"blocks.{i}.full.conv"]
        assert conv.in_shape == separable[f"blocks.{i}.depthwise.conv"].in_shape
        assert conv.out_shape == separable[f"blocks.{i}.pointwise.conv"].out_shape
        assert (conv.kernel, conv.groups) == (3, 1)


def test_mobilenet_v2_is_17_inverted_residuals_with_10_shortcuts() -> None:
    ops = by_name(NAMED["mobilenet_v2"])
    assert sum(name.endswith(".project.conv") for name in ops) == 17
    shortcuts = [int(op.name.split(".")[1]) for op in ops.values() if op.kind == "add"]
    assert shortcuts == [2, 4, 5, 7, 8, 9, 11, 12, 14, 15]
    assert "blocks.0.expand.conv" not in ops
    assert ops["blocks.1.expand.conv"].out_shape == (96, 112, 112)
    assert "blocks.1.project.act" not in ops  # the bottleneck is linear
    assert ops["blocks.2.shortcut"].inputs == ("blocks.2.project.norm", "blocks.1.project.norm")


def test_squeeze_and_excite_narrows_to_a_quarter_of_the_blocks_input() -> None:
    ops = by_name(NAMED["efficientnet_b0"])
    assert ops["blocks.1.squeeze_excite.reduce"].in_shape == (96, 1, 1)
    assert ops["blocks.1.squeeze_excite.reduce"].out_shape == (4, 1, 1)  # 16 / 4, not 96 / 4
    assert ops["blocks.0.squeeze_excite.reduce"].out_shape == (8, 1, 1)
    assert ops["blocks.1.squeeze_excite.expand"].bias
    assert ops["blocks.1.squeeze_excite.act"].function == "silu"
    assert ops["blocks.1.squeeze_excite.gate"].function == "sigmoid"
    scale = ops["blocks.1.squeeze_excite.scale"]
    assert scale.inputs == ("blocks.1.depthwise.act", "blocks.1.squeeze_excite.gate")
    assert scale.out_shape == (96, 56, 56)
    assert ops["blocks.1.project.conv"].inputs == (scale.name,)


def test_stochastic_depth_grows_linearly_to_the_last_block() -> None:
    arch = NAMED["efficientnet_b0"]
    rates = {int(op.name.split(".")[1]): op.rate for op in lower(arch) if op.kind == "add"}
    assert list(rates) == [2, 4, 6, 7, 9, 10, 12, 13, 14]
    assert rates == pytest.approx({index: 0.2 * index / 16 for index in rates})


def test_dropout_carries_its_rate() -> None:
    assert by_name(NAMED["efficientnet_b4"])["dropout"].rate == 0.4
    assert by_name(NAMED["mobilenet_v1"])["dropout"].rate == 0.001


def test_odd_sizes_round_up() -> None:
    ops = by_name(NAMED["mobilenet_v2"].scale(resolution=193))
    sides = [op.out_shape[1] for op in ops.values() if op.kind == "conv" and op.stride == 2]
    assert sides == [97, 49, 25, 13, 7]
