"""The packaged weights through our network, on real photos: is it still the authors' network?"""

from pathlib import Path

import numpy as np
import pytest
import torch

from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import load_network

SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "imagenet-samples"
PHOTOS = 200  # the first 200 classes; all 1,000 are measured by benchmarks


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"needs the photos of {SAMPLES.parent.name}/{SAMPLES.name}")
def test_lite0_names_imagenet_photos() -> None:
    entry = find_entry("efficientnet_lite0.in1k")
    network = load_network(entry).to(memory_format=torch.channels_last)
    preprocess = entry.preprocessing(network.arch.resolution_px)
    paths = sorted(SAMPLES.glob("*.jpg"))[:PHOTOS]
    truth = np.array([int(path.name[:4]) for path in paths])
    answers = []
    for start in range(0, len(paths), 20):
        pixels = np.stack([preprocess.pixels(preprocess.decode(p.read_bytes())) for p in paths[start : start + 20]])
        x_nchw = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            answers.append(network((x_nchw - 127) / 128).argmax(1).numpy())
    assert (np.concatenate(answers) == truth).mean() >= 0.88  # measured: 0.890
