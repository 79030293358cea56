from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lungfish.architecture import NAMED, Arch, Flavour, Op, lower, parse_arch
from lungfish.architecture.flavour import Padding
from lungfish.core.errors import ArchitectureError
from lungfish.costs import cost
from lungfish.nn import Network, build
from lungfish.nn.blocks import InvertedResidual
from lungfish.nn.initialization import initialize
from lungfish.nn.layers import ConvNormAct, DropPath

SIDE = 64


def outputs(network: Network, side: int) -> dict[str, Tensor]:
    """Every module's output, by its name, for one random picture."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        return lambda module, inputs, output: seen.update({name: output})

    hooks = [module.register_forward_hook(keep(name)) for name, module in network.named_modules()]
    with torch.inference_mode():
        network.eval()(torch.randn(1, network.arch.in_channels, side, side))
    for hook in hooks:
        hook.remove()
    return seen


def weight_shape(op: Op) -> tuple[int, ...]:
    if op.kind == "conv":
        return (op.out_shape[0], op.in_shape[0] // op.groups, op.kernel, op.kernel)
    return (op.out_shape[0], op.in_shape[0]) if op.kind == "linear" else op.out_shape[:1]


@pytest.fixture(
    params=[
        "mobilenet_v1:width=0.5",
        "mobilenet_v1_full:width=0.25",
        "mobilenet_v2:width=0.75",
        "efficientnet_b0",
        "efficientnet_lite1",
    ]
)
def arch(request: pytest.FixtureRequest) -> Arch:
    return parse_arch(request.param).with_classes(7)


def test_state_dict_has_the_lowerings_names_and_shapes(arch: Arch) -> None:
    ops = [op for op in lower(arch) if op.kind in ("conv", "norm", "linear")]
    state = build(arch, seed=0).state_dict()
    assert {name.rpartition(".")[0] for name in state} == {op.name for op in ops}
    for op in ops:
        assert tuple(state[f"{op.name}.weight"].shape) == weight_shape(op)


def test_names_can_be_read() -> None:
    names = build(NAMED["efficientnet_lite0"], seed=0).state_dict().keys()
    assert {
        "stem.conv.weight",
        "stem.norm.running_mean",
        "blocks.1.expand.conv.weight",
        "blocks.1.depthwise.norm.bias",
        "blocks.1.project.conv.weight",
        "head.conv.weight",
        "classifier.bias",
    } <= set(names)
    assert "blocks.0.expand.conv.weight" not in names  # expansion 1 has no expansion layer


def test_parameters_are_those_counted(arch: Arch) -> None:
    assert sum(p.numel() for p in build(arch, seed=0).parameters()) == cost(arch).params


def test_torch_counts_two_operations_for_each_of_our_multiply_adds(arch: Arch) -> None:
    side = arch.resolution_px
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(arch).eval()(torch.empty(1, 3, side, side))
    assert counter.get_total_flops() == 2 * cost(arch).macs


def test_a_network_too_large_to_build_is_refused_before_it_is() -> None:
    with pytest.raises(
        ArchitectureError, match=r"efficientnet_b7:width=20 has 2\d,\d+,\d+,\d+ parameters; at most 1,0"
    ):
        build(NAMED["efficientnet_b7"].scale(width=20))


@pytest.mark.parametrize("side", [SIDE, SIDE + 1, SIDE + 31])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_shapes_are_those_of_the_lowering(arch: Arch, side: int, padding: Padding) -> None:
    network = build(arch, Flavour(padding), seed=0)
    seen = outputs(network, side)
    for op in lower(arch.scale(resolution=side)):
        if op.kind in ("conv", "norm", "act", "linear"):
            assert tuple(seen[op.name].shape[1:]) == op.out_shape, op.name


def test_shortcuts_are_where_stride_is_1_and_widths_agree(arch: Arch) -> None:
    network = build(arch, seed=0)
    added = {op.name.removesuffix(".shortcut") for op in lower(arch) if op.kind == "add"}
    for index, block in enumerate(network.blocks):
        assert (getattr(block, "drop_path", None) is not None) == (f"blocks.{index}" in added)


def test_a_block_adds_its_input() -> None:
    block = build(NAMED["efficientnet_lite0"], seed=0).eval().blocks[2]
    assert isinstance(block, InvertedResidual)
    assert isinstance(block.project, ConvNormAct)
    nn.init.zeros_(block.project.norm.weight)  # the branch gives 0
    x_nchw = torch.randn(1, 24, 8, 8)
    torch.testing.assert_close(block(x_nchw), x_nchw)


def test_drop_path_rates_grow_to_the_last_block(arch: Arch) -> None:
    blocks = build(replace(arch, drop_path_rate=0.2), seed=0).blocks
    for index, block in enumerate(blocks):
        drop_path = getattr(block, "drop_path", None)
        if isinstance(drop_path, DropPath):
            assert drop_path.rate == pytest.approx(0.2 * index / len(blocks))


def test_features_are_what_the_classifier_reads(arch: Arch) -> None:
    network = build(arch, seed=0).eval()
    x_nchw = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        features = network.features(x_nchw)
        torch.testing.assert_close(network.classifier(features), network(x_nchw))
    assert features.shape == (2, arch.head_width)


def test_dropout_acts_in_training_only() -> None:
    arch = replace(NAMED["mobilenet_v2"].with_classes(4), dropout=0.5, drop_path_rate=0.0)
    network = build(arch, seed=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    x_nchw = torch.randn(2, 3, SIDE, SIDE)
    network.train()
    assert not torch.equal(network(x_nchw), network(x_nchw))
    network.eval()
    assert torch.equal(network(x_nchw), network(x_nchw))


def test_a_seed_fixes_the_initialization() -> None:
    arch = NAMED["efficientnet_lite0"]
    first, again, other = (build(arch, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_efficientnets_initialization() -> None:
    """Kernels: normal of variance 2 / fan out; classifier: uniform within 1 / sqrt(classes); no bias."""
    state = build(NAMED["efficientnet_b0"], seed=0).state_dict()
    assert state["head.conv.weight"].std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.02)
    assert state["blocks.9.depthwise.conv.weight"].std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.03)
    assert state["classifier.weight"].abs().max().item() == pytest.approx(1000**-0.5, rel=0.01)
    assert not any(tensor.any() for name, tensor in state.items() if name.endswith("bias"))


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_mobilenets_initialization(name: str) -> None:
    """Normal of deviation 0.09, cut at two deviations; no bias."""
    state = build(NAMED[name], seed=0).state_dict()
    for kernel in ("blocks.11.depthwise.conv.weight", "classifier.weight", "stem.conv.weight"):
        assert state[kernel].std().item() == pytest.approx(0.88 * 0.09, rel=0.06)
        assert state[kernel].abs().max().item() <= 0.18
    assert not any(tensor.any() for key, tensor in state.items() if key.endswith("bias"))


@pytest.mark.parametrize("channels", [1, 4])
def test_input_channels(channels: int) -> None:
    network = build(replace(NAMED["efficientnet_lite0"], in_channels=channels), seed=0).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, channels, SIDE, SIDE)).shape == (1, 1000)


def test_the_flavour_is_kept_in_every_layer() -> None:
    network = build(NAMED["efficientnet_lite0"], Flavour("symmetric", 1e-5), seed=0)
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
    assert all(not m.pads_by_size for m in network.modules() if isinstance(m, nn.Conv2d))


def test_features_before_and_after_pooling(arch: Arch) -> None:
    network = build(arch, seed=0).eval()
    x_nchw = torch.randn(2, 3, SIDE, SIDE + 32)
    with torch.inference_mode():
        unpooled = network.forward_features(x_nchw)
        pooled = network.forward_head(unpooled, pre_logits=True)
        assert torch.equal(network.forward_head(unpooled), network(x_nchw))
        assert torch.equal(pooled, network.features(x_nchw))
    assert unpooled.shape == (2, network.num_features, SIDE // 32, SIDE // 32 + 1)
    torch.testing.assert_close(pooled, unpooled.mean((2, 3)))


def test_a_new_classifier(arch: Arch) -> None:
    network = build(arch, seed=0).double().eval()
    network.labels = tuple("abcdefg")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(1)
    network.reset_classifier(3, seed=5)
    assert (network.num_classes, network.arch, network.labels) == (3, arch.with_classes(3), None)
    assert network.classifier.weight.dtype == torch.float64
    assert torch.equal(network.classifier.weight.float(), classifier_weight(arch, seed=5))
    assert not network.classifier.bias.any()
    for name, tensor in network.state_dict().items():
        assert name.startswith("classifier.") or torch.equal(tensor, before[name])
    assert network(torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64)).shape == (1, 3)


def classifier_weight(arch: Arch, seed: int) -> Tensor:
    """What the authors' initialization draws for a classifier of 3 classes alone."""
    classifier = nn.Linear(arch.head_width, 3)
    initialize(classifier, arch.table.initialization, torch.Generator().manual_seed(seed))
    return classifier.weight


@pytest.mark.parametrize("num_classes", [0, -1, 2.5])
def test_a_classifier_of_no_classes(num_classes: int) -> None:
    network = build(parse_arch("mobilenet_v1:width=0.25"), seed=0)
    with pytest.raises(ArchitectureError, match=f"classes is {num_classes};") as caught:
        network.reset_classifier(num_classes)
    assert network.num_classes == 1000
    assert ("call network.features(x)" in caught.value.hint) == (num_classes == 0)
    with pytest.raises(ArchitectureError, match=f"classes is {num_classes};"):
        network.arch.with_classes(num_classes)
