from __future__ import annotations

import pytest
import torch

from lungfish.architecture import NAMED, Arch, BlockRow, NetworkTable
from lungfish.nn import Backbone, build
from lungfish.nn.backbone import levels


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "efficientnet_lite0"])
@pytest.mark.parametrize("side", [64, 97])
def test_maps_have_the_strides_and_channels_they_claim(name: str, side: int) -> None:
    backbone = Backbone(build(NAMED[name].scale(width=0.5), seed=0)).eval()
    with torch.inference_mode():
        maps = backbone(torch.randn(2, 3, side, side))
    assert [level.stride for level in backbone.levels] == [2, 4, 8, 16, 32]
    for level, found in zip(backbone.levels, maps, strict=True):
        assert found.shape == (2, level.channels, -(-side // level.stride), -(-side // level.stride))


def test_levels_of_mobilenet_v2() -> None:
    found = levels(NAMED["mobilenet_v2"])
    assert [level.channels for level in found] == [16, 24, 32, 96, 320]
    assert [level.block for level in found] == [0, 2, 5, 12, 16]


def test_the_stem_is_a_level_where_no_block_keeps_its_stride() -> None:
    table = NetworkTable("a test", (BlockRow(1, 3, 2, 16, 2),), "inverted_residual", "relu6", stem=8, head=0)
    assert [(level.stride, level.channels, level.block) for level in levels(Arch("tiny", table))] == [
        (2, 8, -1),
        (4, 16, 1),
    ]


def test_it_computes_what_the_network_computes_and_shares_its_weights() -> None:
    network = build(NAMED["efficientnet_b0"].scale(width=0.5), seed=0).eval()
    backbone = Backbone(network)
    x_nchw = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        pooled = network.head(backbone(x_nchw)[-1]).mean((2, 3))
        torch.testing.assert_close(pooled, network.features(x_nchw))
    assert set(backbone.state_dict()) < set(network.state_dict())
    assert backbone.stem.conv.weight is network.stem.conv.weight
