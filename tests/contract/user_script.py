"""A script as a user writes one, which mypy checks strictly in `make check`; no test runs it."""

from pathlib import Path
from typing import assert_type

import numpy as np
import torch
from PIL import Image

import lungfish as lf
from lungfish.costs import Cost, Solution
from lungfish.nn import Backbone, Network


def main(photos: Path) -> None:
    """Train, predict, measure, and export a network of one's own."""
    recipe = lf.Recipe(name="short", minutes=5, finetune=lf.Finetune(epochs=4))
    result = lf.train(photos, out="shoes", recipe=recipe, on_event=print, stop=lf.StopToken())
    assert_type(result.test.top1, float)
    assert_type(result.artifacts[0].top1, float | None)
    assert_type(result.bundle, lf.Bundle)

    array = np.zeros((8, 8, 3), np.uint8)
    rows = result.bundle.predict(["a.jpg", Path("b.jpg"), Image.new("RGB", (8, 8)), array])
    assert_type(rows, list[lf.Prediction])
    assert_type(rows[0].label, str | None)
    names: list[str] = ["a.jpg"]
    result.bundle.predict(names)
    result.bundle.predict("a.jpg")
    lf.predict(lf.load("efficientnet_lite0.in1k"), "a.jpg")

    measured = lf.evaluate(result.bundle, "more/")
    assert_type(measured.artifacts[0].metrics.top1, float)

    network = lf.build(lf.arch("efficientnet_lite0:classes=2"), seed=0)
    pixels = lf.Preprocessing(224, mean=(127, 127, 127), std=(128, 128, 128))
    exported = lf.export(network, ["boot", "shoe"], "own", photos="val/", preprocessing=pixels)
    assert_type(exported.test.n, int)


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


if __name__ == "__main__":
    main(Path("photos"))
