"""Describe torchvision's MobileNetV2 and EfficientNet, whose layers have numbers for names."""

from lungfish.weights.layouts.layout import Layout

MOBILENET_V2 = Layout(
    block="inverted_residual",
    squeezes=False,
    largest_kernel=3,
    outside={
        "stem.conv": "features.0.0",
        "stem.norm": "features.0.1",
        "head.conv": "features.{blocks+1}.0",
        "head.norm": "features.{blocks+1}.1",
        "classifier": "classifier.1",
    },
    plain={
        "depthwise.conv": "features.{block+1}.conv.0.0",
        "depthwise.norm": "features.{block+1}.conv.0.1",
        "project.conv": "features.{block+1}.conv.1",
        "project.norm": "features.{block+1}.conv.2",
    },
    expanding={
        "expand.conv": "features.{block+1}.conv.0.0",
        "expand.norm": "features.{block+1}.conv.0.1",
        "depthwise.conv": "features.{block+1}.conv.1.0",
        "depthwise.norm": "features.{block+1}.conv.1.1",
        "project.conv": "features.{block+1}.conv.2",
        "project.norm": "features.{block+1}.conv.3",
    },
)

EFFICIENTNET = Layout(
    block="inverted_residual",
    squeezes=True,
    outside={
        "stem.conv": "features.0.0",
        "stem.norm": "features.0.1",
        "head.conv": "features.{stages+1}.0",
        "head.norm": "features.{stages+1}.1",
        "classifier": "classifier.1",
    },
    plain={
        "depthwise.conv": "features.{stage+1}.{repeat}.block.0.0",
        "depthwise.norm": "features.{stage+1}.{repeat}.block.0.1",
        "squeeze_excite.reduce": "features.{stage+1}.{repeat}.block.1.fc1",
        "squeeze_excite.expand": "features.{stage+1}.{repeat}.block.1.fc2",
        "project.conv": "features.{stage+1}.{repeat}.block.2.0",
        "project.norm": "features.{stage+1}.{repeat}.block.2.1",
    },
    expanding={
        "expand.conv": "features.{stage+1}.{repeat}.block.0.0",
        "expand.norm": "features.{stage+1}.{repeat}.block.0.1",
        "depthwise.conv": "features.{stage+1}.{repeat}.block.1.0",
        "depthwise.norm": "features.{stage+1}.{repeat}.block.1.1",
        "squeeze_excite.reduce": "features.{stage+1}.{repeat}.block.2.fc1",
        "squeeze_excite.expand": "features.{stage+1}.{repeat}.block.2.fc2",
        "project.conv": "features.{stage+1}.{repeat}.block.3.0",
        "project.norm": "features.{stage+1}.{repeat}.block.3.1",
    },
)

LAYOUTS = (MOBILENET_V2, EFFICIENTNET)
