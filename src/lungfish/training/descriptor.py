"""The fixed network by which scenes are found, whatever network is trained and whatever machine it is trained on."""

from __future__ import annotations

from lungfish.architecture import parse_arch
from lungfish.core.errors import LungfishError
from lungfish.data.scenes import Descriptor
from lungfish.runtime.preprocess import Preprocess
from lungfish.training.trunk import OnnxTrunk
from lungfish.weights.catalogue import find_entry
from lungfish.weights.fetch import at_hand
from lungfish.weights.load import load_network

NAME = "efficientnet_lite0.in1k"  # ships with the training install


def open_descriptor() -> Descriptor | None:
    """Return EfficientNet-Lite0 in FP32 on a CPU, or None if its weights are not on this machine."""
    entry = find_entry(NAME)
    if entry is None:
        return None
    try:
        if at_hand(entry) is None:
            return None
        arch = parse_arch(entry.arch)
        trunk = OnnxTrunk(load_network(entry, arch), entry)
    except LungfishError:  # the file is damaged, or a package is missing
        return None
    return Descriptor(trunk, Preprocess(arch.resolution_px, entry.crop_fraction, entry.interpolation))
