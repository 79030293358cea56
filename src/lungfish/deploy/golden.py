"""Write golden vectors: generated pictures and the artifacts' answers, for checking ports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.runtime.preprocessing import Preprocessing

FOLDER = "golden"


def golden_pictures() -> dict[str, Image.Image]:
    """Return four pictures by file name, of sizes that exercise the resize rule; the same on every machine."""
    y, x = np.mgrid[0:300, 0:420] / 300
    rings = 0.5 + 0.5 * np.sin(40 * np.hypot(x - 0.7, y - 0.5))
    blocks = np.random.default_rng(0).integers(0, 256, (12, 9, 3)).repeat(40, axis=0).repeat(40, axis=1)
    planes = {
        "gradient.png": np.stack([x / 1.4, y, 1 - y], axis=-1),
        "rings.png": np.stack([rings, np.roll(rings, 40, axis=0), 1 - rings], axis=-1),
        "checkers.png": np.indices((260, 260)).sum(axis=0)[..., None] // 26 % 2 * np.array([1.0, 0.8, 0.2]),
        "blocks.png": blocks / 255,
    }
    return {name: Image.fromarray(np.rint(255 * plane).astype(np.uint8)) for name, plane in planes.items()}


def golden_pixels(preprocess: Preprocessing) -> NDArray[np.uint8]:
    """Return the pictures after the resize rule, uint8 `[4, resolution, resolution, 3]`, in order of name."""
    pictures = golden_pictures()
    return np.stack([preprocess.pixels(pictures[name]) for name in sorted(pictures)])


def write_golden(bundle: Path, preprocess: Preprocessing, answers: Mapping[str, NDArray[np.float32]]) -> None:
    """Write `golden/`: the pictures, `pixels.npy` and `probabilities.json`.

    Args:
        bundle: Folder to write into.
        preprocess: Resize rule.
        answers: float32 `[4, classes]` on `golden_pixels`, by the artifacts' file names.
    """
    folder = bundle / FOLDER
    folder.mkdir()
    pictures = golden_pictures()
    for name, picture in pictures.items():
        picture.save(folder / name)
    np.save(folder / "pixels.npy", golden_pixels(preprocess))
    rows = {
        file: dict(zip(sorted(pictures), np.round(values.astype(np.float64), 7).tolist(), strict=True))
        for file, values in answers.items()
    }
    (folder / "probabilities.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
