"""Describe TF-Slim: the authors' checkpoints of MobileNetV1 and MobileNetV2, with 1,001 classes.

The classifiers are 1x1 convolutions. Class 0 is the background, which the other libraries do not have.
"""

from lungfish.weights.layouts.layout import Layout, Variable

VARIABLES: dict[str, dict[str, Variable]] = {
    "conv": {"weight": Variable("/weights", (3, 2, 0, 1))},
    "depthwise": {"weight": Variable("/depthwise_weights", (2, 3, 0, 1))},
    "linear": {"weight": Variable("/weights", (3, 2, 0, 1)), "bias": Variable("/biases")},
    "norm": {
        "weight": Variable("/BatchNorm/gamma"),
        "bias": Variable("/BatchNorm/beta"),
        "running_mean": Variable("/BatchNorm/moving_mean"),
        "running_var": Variable("/BatchNorm/moving_variance"),
    },
}

MOBILENET_V1 = Layout(
    block="depthwise_separable",
    largest_kernel=3,
    variables=VARIABLES,
    outside={
        "stem.conv": "MobilenetV1/Conv2d_0",
        "stem.norm": "MobilenetV1/Conv2d_0",
        "classifier": "MobilenetV1/Logits/Conv2d_1c_1x1",
    },
    plain={
        "depthwise.conv": "MobilenetV1/Conv2d_{block+1}_depthwise",
        "depthwise.norm": "MobilenetV1/Conv2d_{block+1}_depthwise",
        "pointwise.conv": "MobilenetV1/Conv2d_{block+1}_pointwise",
        "pointwise.norm": "MobilenetV1/Conv2d_{block+1}_pointwise",
    },
)

MOBILENET_V2 = Layout(
    block="inverted_residual",
    squeezes=False,
    largest_kernel=3,
    variables=VARIABLES,
    outside={
        "stem.conv": "MobilenetV2/Conv",
        "stem.norm": "MobilenetV2/Conv",
        "head.conv": "MobilenetV2/Conv_1",
        "head.norm": "MobilenetV2/Conv_1",
        "classifier": "MobilenetV2/Logits/Conv2d_1c_1x1",
    },
    plain={  # the first block only
        "depthwise.conv": "MobilenetV2/expanded_conv/depthwise",
        "depthwise.norm": "MobilenetV2/expanded_conv/depthwise",
        "project.conv": "MobilenetV2/expanded_conv/project",
        "project.norm": "MobilenetV2/expanded_conv/project",
    },
    expanding={
        "expand.conv": "MobilenetV2/expanded_conv_{block}/expand",
        "expand.norm": "MobilenetV2/expanded_conv_{block}/expand",
        "depthwise.conv": "MobilenetV2/expanded_conv_{block}/depthwise",
        "depthwise.norm": "MobilenetV2/expanded_conv_{block}/depthwise",
        "project.conv": "MobilenetV2/expanded_conv_{block}/project",
        "project.norm": "MobilenetV2/expanded_conv_{block}/project",
    },
)

LAYOUTS = (MOBILENET_V1, MOBILENET_V2)
