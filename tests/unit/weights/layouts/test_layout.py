"""The tables of names: each tensor has one place, and an architecture that a library lacks is refused."""

from dataclasses import replace
from math import prod

import pytest

from lungfish.architecture import NAMED, Arch, Flavour, parse_arch
from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.nn import build
from lungfish.weights.layouts import SOURCES, find_layout, find_source, tensor_slots

HELD = [
    (source, name)
    for source in SOURCES
    for name in ("mobilenet_v1", "mobilenet_v2", "efficientnet_b1", "efficientnet_lite1")
    if any(layout.holds(NAMED[name].table) for layout in SOURCES[source].layouts)
]


def test_which_library_has_which_family() -> None:
    families = {source: [name for at, name in HELD if at == source] for source in SOURCES}
    every = ["mobilenet_v1", "mobilenet_v2", "efficientnet_b1", "efficientnet_lite1"]
    assert families["timm"] == families["timm_tf"] == every
    assert families["torchvision"] == ["mobilenet_v2", "efficientnet_b1"]
    assert families["keras"] == ["mobilenet_v1", "mobilenet_v2", "efficientnet_b1"]
    assert families["slim"] == ["mobilenet_v1", "mobilenet_v2"]


@pytest.mark.parametrize(("source", "name"), HELD)
def test_every_tensor_has_one_place_of_its_size(source: str, name: str) -> None:
    arch = NAMED[name]
    where = tensor_slots(arch, find_layout(source, arch))
    own = build(arch, seed=0).state_dict()
    counters = {tensor for tensor in own if tensor.endswith("num_batches_tracked")}
    assert set(where) | counters == set(own)
    assert len({place.name for place in where.values()}) == len(where)
    for tensor, place in where.items():
        assert place.our_shape == tuple(own[tensor].shape)
        assert prod(place.shape) == own[tensor].numel()


def named(source: str, arch: Arch, tensor: str) -> str:
    return tensor_slots(arch, find_layout(source, arch))[tensor].name


def test_blocks_are_numbered_as_each_library_numbers_them() -> None:
    b1 = NAMED["efficientnet_b1"]  # its rows have 2, 3, 3, 4, 4, 5 and 2 blocks
    tensor = "blocks.4.project.conv.weight"  # the third block of the second row
    assert named("torchvision", b1, tensor) == "features.2.2.block.3.0.weight"
    assert named("timm", b1, tensor) == "blocks.1.2.conv_pwl.weight"
    assert named("keras", b1, tensor) == "block2c_project_conv/kernel"
    assert named("packaged", NAMED["efficientnet_lite1"], tensor) == "_blocks.4._project_conv.weight"
    v2 = NAMED["mobilenet_v2"]
    assert named("torchvision", v2, tensor) == "features.5.conv.2.weight"
    assert named("torchvision", v2, "head.conv.weight") == "features.18.0.weight"
    assert named("keras", v2, tensor) == "block_4_project/kernel"
    assert named("keras", v2, "blocks.0.project.norm.bias") == "expanded_conv_project_BN/beta"
    assert named("keras", NAMED["mobilenet_v1"], "blocks.12.pointwise.norm.running_var") == (
        "conv_pw_13_bn/moving_variance"
    )
    assert named("slim", v2, tensor) == "MobilenetV2/expanded_conv_4/project/weights"
    assert named("slim", NAMED["mobilenet_v1"], "blocks.12.depthwise.norm.weight") == (
        "MobilenetV1/Conv2d_13_depthwise/BatchNorm/gamma"
    )


def test_tensorflow_numbers_the_layers_of_a_scope_in_their_order() -> None:
    b1 = parse_arch("efficientnet_b1:resolution=64,classes=7")  # the name in front stays the network's
    first, second = (
        "efficientnet-b1/blocks_1",
        "efficientnet-b1/blocks_2",
    )  # the first row, which does not expand, has two
    assert named("tpu", b1, "blocks.1.project.conv.weight") == f"{first}/conv2d/kernel"
    assert named("tpu", b1, "blocks.1.project.norm.bias") == f"{first}/tpu_batch_normalization_1/beta"
    assert named("tpu", b1, "blocks.2.expand.conv.weight") == f"{second}/conv2d/kernel"
    assert named("tpu", b1, "blocks.2.project.conv.weight") == f"{second}/conv2d_1/kernel"
    assert named("tpu", b1, "blocks.2.project.norm.bias") == f"{second}/tpu_batch_normalization_2/beta"
    assert named("tpu", b1, "blocks.2.squeeze_excite.expand.bias") == f"{second}/se/conv2d_1/bias"
    assert named("tpu", NAMED["efficientnet_lite1"], "classifier.weight") == "efficientnet-lite1/head/dense/kernel"


def test_shapes_where_keras_lays_kernels_out() -> None:
    v1 = NAMED["mobilenet_v1"]
    where = tensor_slots(v1, find_layout("keras", v1))
    assert where["stem.conv.weight"].shape == (3, 3, 3, 32)
    assert where["blocks.0.depthwise.conv.weight"].shape == (3, 3, 32, 1)
    assert where["classifier.weight"].shape == (1, 1, 1024, 1000)  # a convolution there


@pytest.mark.parametrize("source", SOURCES)
def test_a_network_that_no_library_has(source: str) -> None:
    with pytest.raises(UsageError, match=f"{source} has no networks like mobilenet_v1_full") as caught:
        find_layout(source, NAMED["mobilenet_v1_full"])
    assert "No library does" in caught.value.hint


def test_a_network_that_another_library_has() -> None:
    with pytest.raises(UsageError) as caught:
        find_layout("torchvision", NAMED["efficientnet_lite0"])
    assert caught.value.hint == "Libraries that do: timm, timm_tf, packaged, tpu."


def test_a_head_that_the_library_has_no_place_for() -> None:
    v1 = NAMED["mobilenet_v1"]
    headed = replace(v1, table=replace(v1.table, head=1280))
    with pytest.raises(UsageError, match=r"has a module head\.conv"):
        tensor_slots(headed, find_layout("keras", headed))


def test_an_unknown_source() -> None:
    with pytest.raises(UnknownNameError, match="unknown source of weights: 'tim'"):
        find_source("tim")


def test_flavours() -> None:
    torchvision = find_source("torchvision")
    assert torchvision.flavour_of(NAMED["efficientnet_b4"]) == Flavour("symmetric", 1e-5)
    assert torchvision.flavour_of(NAMED["efficientnet_b5"]) == Flavour("symmetric", 1e-3)
    small_b7 = parse_arch("efficientnet_b7:resolution=224,classes=10")
    assert torchvision.flavour_of(small_b7) == Flavour("symmetric", 1e-3)
    assert find_source("timm").flavour_of(small_b7) == Flavour("symmetric", 1e-5)
    assert find_source("timm_tf").flavour_of(small_b7) == Flavour("same", 1e-3)
