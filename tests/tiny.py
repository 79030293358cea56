"""A pretrained network so small that a whole job with it takes a second: `--weights` takes the bundle that holds it.

Its weights are random, its batch-norm statistics those of handwritten digits, so that its features tell digits apart.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from lungfish.architecture import parse_arch
from lungfish.core.hashing import sha256_file
from lungfish.weights.ledger import Card
from lungfish.workflows.starting_point import INITIAL

ARCH = "mobilenet_v2:width=0.25,depth=0.3,resolution=64"


def write_tiny_weights(bundle: Path, photos: Path) -> Path:
    """Put the weights of the tiny network into a bundle; returns the bundle.

    Args:
        bundle: A sound bundle. What it predicts with stays as it is.
        photos: Class folders, from which the batch-norm statistics come.
    """
    import torch
    from safetensors.torch import save_file

    from lungfish import nn

    arch = parse_arch(ARCH)
    network = nn.build(arch, INITIAL.flavour, seed=0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the average over batches: of one, the batch itself
    side = arch.resolution_px
    pixels = np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((side, side)), np.float32)
            for path in sorted(photos.rglob("*.png"))
        ]
    )
    with torch.no_grad():
        network.train()(torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2))
    file = bundle / "weights.safetensors"
    save_file(network.state_dict(), file)

    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    manifest["architecture"] = arch.to_json()
    manifest["files"][file.name] = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
    card = Card(replace(INITIAL, arch=ARCH, sha256="0" * 64), "")
    manifest["weights"] |= {"license": INITIAL.license, "card": card.to_json()}
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    return bundle
