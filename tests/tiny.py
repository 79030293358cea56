"""Pretrained weights of a very small network, in a bundle that `--weights` accepts. They make whole jobs fast.

The network is trained on handwritten digits for a few seconds, so a head on its features can classify digits.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lungfish.architecture import parse_arch
from lungfish.core.hashing import sha256_file
from lungfish.job.start import INITIAL
from lungfish.weights.store.record import WeightsRecord

if TYPE_CHECKING:
    from torch import nn

ARCH = "mobilenet_v1:width=0.25,depth=0.3,resolution=48"
STEPS, BATCH, LEARNING_RATE, MOMENTUM = 100, 32, 0.1, 0.9


def write_tiny_weights(bundle: Path) -> Path:
    """Put the weights of the tiny network into a sound bundle; what it predicts with stays as it is."""
    from safetensors.torch import save_file

    file = bundle / "weights.safetensors"
    save_file(_pretrained().state_dict(), file)
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    manifest["architecture"] = parse_arch(ARCH).to_json()
    manifest["files"][file.name] = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
    record = WeightsRecord(replace(INITIAL, arch=ARCH, sha256="0" * 64), "")
    manifest["weights"] |= {"license": INITIAL.license, "record": record.to_json()}
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    return bundle


def _pretrained() -> nn.Module:
    """Return the network after a few epochs on digits; its classifier, of ImageNet's size, has learned nothing."""
    import torch
    from sklearn.datasets import load_digits

    from lungfish import nn

    arch = parse_arch(ARCH)
    digits, side = load_digits(), arch.resolution_px
    inks = (255 - digits.images[::2] * (255 / 16)).astype(np.uint8)
    pictures = [np.asarray(Image.fromarray(ink).convert("RGB").resize((side, side)), np.float32) for ink in inks]
    x_nchw = torch.from_numpy((np.stack(pictures) - 127) / 128).permute(0, 3, 1, 2)
    labels = torch.from_numpy(digits.target[::2])
    network = nn.build(arch.with_classes(10), INITIAL.flavour, seed=0).train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.2  # its statistics have few steps to settle
    parameters = list(network.parameters())
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    torch.manual_seed(0)  # for the order of photos and for dropout
    for step in range(STEPS):
        chosen = torch.randint(len(labels), (BATCH,))
        loss = torch.nn.functional.cross_entropy(network(x_nchw[chosen]), labels[chosen])
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():  # torch.optim takes longer to import than all steps together
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity.mul_(MOMENTUM).add_(gradient)
                parameter.sub_(velocity, alpha=LEARNING_RATE * (1 - step / STEPS))
    whole = nn.build(arch, INITIAL.flavour, seed=0)
    trunk = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("classifier.")}
    whole.load_state_dict(whole.state_dict() | trunk)
    return whole
