"""Load the network that compares photos to find scenes; it is the same for every job and on every machine."""

from __future__ import annotations

from lungfish.architecture import parse_arch
from lungfish.core.errors import LungfishError
from lungfish.data.scan.features import Trunk
from lungfish.data.scan.scenes import Descriptor
from lungfish.training.trunk import OnnxTrunk
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import local_file
from lungfish.weights.load import load_weights

NAME = "efficientnet_lite0.in1k"  # ships with the training install


def open_descriptor(trunk: Trunk | None = None, entry: WeightsEntry | None = None) -> Descriptor | None:
    """Return EfficientNet-Lite0 in FP32 on the CPU, or None if its weights are not on this machine.

    Args:
        trunk: Trunk of the job, at any resolution; reused if it is the same network.
        entry: Weights of `trunk`.
    """
    packaged = find_entry(NAME)
    if packaged is None:
        return None
    arch = parse_arch(packaged.arch)
    preprocess = packaged.preprocessing(arch.resolution_px)
    same = entry and (entry.name, entry.mean, entry.std, entry.flavour) == (
        NAME,
        packaged.mean,
        packaged.std,
        packaged.flavour,
    )
    if same and isinstance(trunk, OnnxTrunk) and trunk.resolution_px == arch.resolution_px:
        return Descriptor(trunk, preprocess)
    try:
        if local_file(packaged) is None:
            return None
        return Descriptor(OnnxTrunk(load_weights(packaged, arch), packaged), preprocess)
    except LungfishError:  # the file is damaged, or a package is missing
        return None
