"""Well-known families of networks that Lungfish does not build; error messages name them."""

from __future__ import annotations

FAMILIES_HERE = "Supported: mobilenet_v1, mobilenet_v2, efficientnet_b0 to b7, efficientnet_lite0 to lite4."

# Prefixes of names; where one begins with another, the longer one comes first.
TORCHVISION_FAMILIES = (
    *("alexnet", "convnext", "densenet", "efficientnet_v2", "googlenet", "inception", "maxvit", "mnasnet"),
    *("mobilenet_v3", "regnet", "resnet", "resnext", "shufflenet", "squeezenet", "swin", "vgg", "vit", "wide_resnet"),
)
OTHER_FAMILIES = (
    *("deit", "efficientformer", "efficientnetv2", "fastvit", "ghostnet", "levit", "mixnet", "mobilenet_v4"),
    *("mobilenetv3", "mobilenetv4", "mobileone", "mobilevit", "nfnet", "repvgg", "seresnet", "yolo"),
)


def foreign_family(name: str) -> str:
    """Return the unsupported family that `name` begins with; empty if there is none."""
    families = (*TORCHVISION_FAMILIES, *OTHER_FAMILIES)
    return next((family for family in families if name.casefold().startswith(family)), "")


def is_in_torchvision(name: str) -> bool:
    """Return whether `name` begins with the name of a torchvision family."""
    return name.startswith(TORCHVISION_FAMILIES)
