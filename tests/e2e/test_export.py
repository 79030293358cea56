"""A network of somebody's own training loop, to a bundle that predicts as the network does."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lungfish as lf
from lungfish.deploy.golden import golden_pixels
from lungfish.runtime.bundle_files import check_files

from ..tiny import ARCH

LABELS = ["2", "0", "1"]  # not in the order of the folders
PIXELS = lf.Preprocessing(48, 1.0, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))


def own_loop(tiny: Path, photos: Path) -> Any:
    """Fit the classifier of the tiny network, in double precision and training mode as somebody may have left it."""
    net = lf.build(lf.arch(ARCH), tiny / "weights.safetensors")
    net.classifier = torch.nn.Linear(net.classifier.in_features, len(LABELS))
    pictures = [(path, k) for k, label in enumerate(LABELS) for path in sorted((photos / label).glob("*.png"))]
    pixels = torch.from_numpy(np.stack([PIXELS.pixels(PIXELS.decode(path.read_bytes())) for path, _ in pictures]))
    truth = torch.tensor([k for _, k in pictures])
    with torch.no_grad():
        features = net.eval().features(((pixels.float() - 127) / 128).permute(0, 3, 1, 2))
    weight, bias = net.classifier.weight, net.classifier.bias
    for _ in range(200):
        loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, truth)
        by_weight, by_bias = torch.autograd.grad(loss, (weight, bias))
        with torch.no_grad():
            weight -= 0.05 * by_weight
            bias -= 0.05 * by_bias
    return net.double().train()


def test_export(tiny: Path, write_digits: Callable[..., Path], tmp_path: Path, lungfish: Any) -> None:
    photos = write_digits(tmp_path / "digits", count=12)
    net = own_loop(tiny, photos)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    result = lf.export(net, LABELS, tmp_path / "bundle", photos=photos, preprocessing=PIXELS)

    assert net.training  # the network is as it was
    assert all(each.requires_grad for each in net.parameters())
    assert net.arch.classes == 1000
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())

    assert result.classes == tuple(LABELS)
    assert result.counts == {"train": 0, "val": 18, "test": 18}
    assert result.test.top1 >= 0.8
    assert [row.status for row in result.artifacts] == ["pass", "pass"]
    assert json.loads(json.dumps(result.to_json()))["bundle"] == str(tmp_path / "bundle")
    assert repr(result).startswith("<BundleResult bundle: ")

    bundle = result.bundle
    check_files(bundle.folder, bundle.manifest)
    assert bundle.labels == tuple(LABELS)
    pixels = golden_pixels(PIXELS)
    with torch.inference_mode():
        logits = net.eval()(((torch.from_numpy(pixels).double() - 127) / 128).permute(0, 3, 1, 2))
    assert np.abs(bundle.probabilities(pixels, "model.onnx") - logits.softmax(1).numpy()).max() < 1e-4
    rows = bundle.predict(sorted((photos / "2").iterdir()))
    assert sum(row.label == "2" for row in rows) >= 9

    names = {path.name for path in bundle.folder.iterdir()}
    assert names == {
        *("bundle.json", "model.onnx", "model-int8.onnx", "weights.safetensors", "labels.txt", "report.html"),
        *("MODEL_CARD.md", "NOTICE", "photos.csv", "golden"),
    }
    report = html.unescape((bundle.folder / "report.html").read_text(encoding="utf-8"))
    card = " ".join((bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8").split())
    assert "it was not checked whether these photos, or copies of them, were among its training photos" in report
    assert "learns from training photos" not in report
    assert "Lungfish does not know the photos" in card
    assert "recipe.toml" not in card
    assert "bundle tiny, trained from random" in (bundle.folder / "NOTICE").read_text(encoding="utf-8")

    evaluated = lungfish("evaluate", bundle.folder, photos, "--split", "test", "--json").json
    assert {row["file"]: row["top1"] for row in evaluated["artifacts"]} == {
        row.file: round(row.top1 or 0.0, 6) for row in result.artifacts
    }
    assert (lf.evaluate(bundle, photos).seen_in_training, lf.evaluate(bundle, photos).split) == (0, "all")
    again = lf.build(lf.arch(f"{ARCH},classes=3"), bundle.folder / "weights.safetensors")
    assert torch.equal(again.classifier.bias.double(), net.classifier.bias)
