"""Describe timm's MobileNetV1, MobileNetV2 and EfficientNet, including `tf_` and Lite models."""

from lungfish.weights.layouts.layout import Layout

_OUTSIDE = {
    "stem.conv": "conv_stem",
    "stem.norm": "bn1",
    "head.conv": "conv_head",
    "head.norm": "bn2",
    "classifier": "classifier",
}
_SQUEEZE_EXCITE = {
    "squeeze_excite.reduce": "blocks.{stage}.{repeat}.se.conv_reduce",
    "squeeze_excite.expand": "blocks.{stage}.{repeat}.se.conv_expand",
}
_DEPTHWISE = {
    "depthwise.conv": "blocks.{stage}.{repeat}.conv_dw",
    "depthwise.norm": "blocks.{stage}.{repeat}.bn1",
}

DEPTHWISE_SEPARABLE = Layout(
    block="depthwise_separable",
    outside=_OUTSIDE,
    plain={
        **_DEPTHWISE,
        "pointwise.conv": "blocks.{stage}.{repeat}.conv_pw",
        "pointwise.norm": "blocks.{stage}.{repeat}.bn2",
    },
)

INVERTED_RESIDUAL = Layout(
    block="inverted_residual",
    outside=_OUTSIDE,
    plain={  # conv_pw compresses
        **_DEPTHWISE,
        **_SQUEEZE_EXCITE,
        "project.conv": "blocks.{stage}.{repeat}.conv_pw",
        "project.norm": "blocks.{stage}.{repeat}.bn2",
    },
    expanding={  # conv_pw expands, conv_pwl compresses
        "expand.conv": "blocks.{stage}.{repeat}.conv_pw",
        "expand.norm": "blocks.{stage}.{repeat}.bn1",
        "depthwise.conv": "blocks.{stage}.{repeat}.conv_dw",
        "depthwise.norm": "blocks.{stage}.{repeat}.bn2",
        **_SQUEEZE_EXCITE,
        "project.conv": "blocks.{stage}.{repeat}.conv_pwl",
        "project.norm": "blocks.{stage}.{repeat}.bn3",
    },
)

LAYOUTS = (DEPTHWISE_SEPARABLE, INVERTED_RESIDUAL)
