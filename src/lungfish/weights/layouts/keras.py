"""Describe Keras Applications: `MobileNet`, `MobileNetV2`, and `EfficientNetB0` to `EfficientNetB7`.

Keras lays out kernels as [height, width, in, out], and those of depthwise convolutions as [height, width, in, 1].
EfficientNet's graph starts with layers that rescale and normalize pixels. That is preprocessing, which belongs to a
weights entry and not to a network, so the statistics of its `normalization` layer are left out.
"""

from lungfish.weights.layouts.layout import Layout, Variable

VARIABLES: dict[str, dict[str, Variable]] = {
    "conv": {"weight": Variable("/kernel", (3, 2, 0, 1)), "bias": Variable("/bias")},
    "depthwise": {"weight": Variable("/kernel", (2, 3, 0, 1))},
    "linear": {"weight": Variable("/kernel", (1, 0)), "bias": Variable("/bias")},
    "norm": {
        "weight": Variable("/gamma"),
        "bias": Variable("/beta"),
        "running_mean": Variable("/moving_mean"),
        "running_var": Variable("/moving_variance"),
    },
}
PREPROCESSING = ("normalization/(mean|variance|count)",)

MOBILENET_V1 = Layout(
    block="depthwise_separable",
    largest_kernel=3,
    variables=VARIABLES | {"linear": VARIABLES["conv"]},  # its classifier is a 1x1 convolution
    outside={"stem.conv": "conv1", "stem.norm": "conv1_bn", "classifier": "conv_preds"},
    plain={
        "depthwise.conv": "conv_dw_{block+1}",
        "depthwise.norm": "conv_dw_{block+1}_bn",
        "pointwise.conv": "conv_pw_{block+1}",
        "pointwise.norm": "conv_pw_{block+1}_bn",
    },
)

MOBILENET_V2 = Layout(
    block="inverted_residual",
    squeezes=False,
    largest_kernel=3,
    variables=VARIABLES,
    outside={
        "stem.conv": "Conv1",
        "stem.norm": "bn_Conv1",
        "head.conv": "Conv_1",
        "head.norm": "Conv_1_bn",
        "classifier": "predictions",
    },
    plain={  # the first block only
        "depthwise.conv": "expanded_conv_depthwise",
        "depthwise.norm": "expanded_conv_depthwise_BN",
        "project.conv": "expanded_conv_project",
        "project.norm": "expanded_conv_project_BN",
    },
    expanding={
        "expand.conv": "block_{block}_expand",
        "expand.norm": "block_{block}_expand_BN",
        "depthwise.conv": "block_{block}_depthwise",
        "depthwise.norm": "block_{block}_depthwise_BN",
        "project.conv": "block_{block}_project",
        "project.norm": "block_{block}_project_BN",
    },
)

_PLAIN = {
    "depthwise.conv": "block{stage+1}{letter}_dwconv",
    "depthwise.norm": "block{stage+1}{letter}_bn",
    "squeeze_excite.reduce": "block{stage+1}{letter}_se_reduce",
    "squeeze_excite.expand": "block{stage+1}{letter}_se_expand",
    "project.conv": "block{stage+1}{letter}_project_conv",
    "project.norm": "block{stage+1}{letter}_project_bn",
}
EFFICIENTNET = Layout(
    block="inverted_residual",
    squeezes=True,
    variables=VARIABLES,
    outside={
        "stem.conv": "stem_conv",
        "stem.norm": "stem_bn",
        "head.conv": "top_conv",
        "head.norm": "top_bn",
        "classifier": "predictions",
    },
    plain=_PLAIN,
    expanding={
        "expand.conv": "block{stage+1}{letter}_expand_conv",
        "expand.norm": "block{stage+1}{letter}_expand_bn",
        **_PLAIN,
    },
)

LAYOUTS = (MOBILENET_V1, MOBILENET_V2, EFFICIENTNET)
