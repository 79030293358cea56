"""A classifier of random weights, small enough to quantize in a moment."""

from __future__ import annotations

import numpy as np
import pytest

from lungfish.architecture import parse_arch
from lungfish.deploy.classifier import Classifier
from lungfish.nn import build
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry

LABELS = ("boot", "glove <i>", "größe")


@pytest.fixture
def classifier() -> Classifier:
    """Three classes at 64 px, temperature 2, logits far enough apart to see a mistake."""
    entry = find_entry("efficientnet_lite0.in1k")
    arch = parse_arch("efficientnet_lite0:width=0.2,depth=0.3,resolution=64,classes=3")
    network = build(arch, entry.flavour, seed=0).eval()
    network.classifier.weight.data *= 20
    return Classifier(network, 2.0, LABELS, Preprocessing(64), entry)


@pytest.fixture
def pixels() -> np.ndarray:
    """Sixteen random pictures, some dark, some light."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 4, 4, 3)).repeat(16, axis=1).repeat(16, axis=2)
    return (coarse * rng.random((16, 1, 1, 1))).astype(np.uint8)
