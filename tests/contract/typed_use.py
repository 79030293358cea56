"""A user's own script, as mypy reads it in `make check`: every value has the type that the documentation promises."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import torch
from PIL import Image

import lungfish as lf
from lungfish.costs import Cost, Solution
from lungfish.nn import Backbone, Network


def networks(path: Path) -> None:
    arch = assert_type(lf.arch("mobilenet_v2:width=0.75"), lf.Arch)
    net = assert_type(lf.build("efficientnet_lite0", num_classes=10, pretrained=True), Network)
    assert_type(lf.build(arch, features_only=True), Backbone)
    assert_type(lf.build(net, weights=path, in_channels=1, features_only=False), Network)
    assert_type(lf.cost("efficientnet_b0"), Cost)
    assert_type(lf.cost(net).macs + lf.cost(path, "int8").params, int)
    assert_type(lf.solve(net, macs=150e6), Solution)
    assert_type(lf.list_models("*lite*") + lf.list_weights(), list[str])
    assert_type([row.macs for row in lf.compare("mobilenet_v2", arch, net, latency=True)], list[int])
    assert_type(lf.describe(arch).cost, Cost)
    assert_type(lf.explain("shoes", "a.jpg", label="boot").picture, str)


def features(net: Network) -> torch.Tensor:
    transform = lf.transforms(net)
    x_nchw = torch.stack([transform(photo) for photo in ("a.jpg", Path("b.jpg"), b"", Image.new("RGB", (8, 8)))])
    assert_type(net.labels, tuple[str, ...] | None)
    net.reset_classifier(3)
    return assert_type(net.forward_head(net.forward_features(x_nchw), pre_logits=True), torch.Tensor)
