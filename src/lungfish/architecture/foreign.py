"""Families of networks that people ask for and that are not here: an error that names them beats a close spelling."""

from __future__ import annotations

FAMILIES_HERE = "Here: mobilenet_v1, mobilenet_v2, efficientnet_b0 to b7, efficientnet_lite0 to lite4."

# beginnings of names, the longer ones of a family first
TORCHVISION_FAMILIES = (
    *("alexnet", "convnext", "densenet", "efficientnet_v2", "googlenet", "inception", "maxvit", "mnasnet"),
    *("mobilenet_v3", "regnet", "resnet", "resnext", "shufflenet", "squeezenet", "swin", "vgg", "vit", "wide_resnet"),
)
OTHER_FAMILIES = (
    *("deit", "efficientformer", "efficientnetv2", "fastvit", "ghostnet", "levit", "mixnet", "mobilenet_v4"),
    *("mobilenetv3", "mobilenetv4", "mobileone", "mobilevit", "nfnet", "repvgg", "seresnet", "yolo"),
)


def foreign_family(name: str) -> str:
    """Return the family that `name` begins with if Lungfish does not build it; empty if the name is of none."""
    families = (*TORCHVISION_FAMILIES, *OTHER_FAMILIES)
    return next((family for family in families if name.casefold().startswith(family)), "")


def is_in_torchvision(name: str) -> bool:
    """Whether `name` begins as a classifier of torchvision does."""
    return name.startswith(TORCHVISION_FAMILIES)
