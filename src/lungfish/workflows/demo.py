"""The main job on data that is already installed: scikit-learn's handwritten digits, 1,797 scans of 8 x 8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lungfish.core.errors import MissingExtraError
from lungfish.core.files import storage_errors
from lungfish.core.progress import Progress
from lungfish.workflows.train import Job, TrainResult, run_job

PHOTOS, BUNDLE = "photos", "digits-bundle"


def demo(folder: Path, progress: Progress) -> TrainResult:
    """Write the digits into `folder/photos`, one folder per class, and train on them into `folder/digits-bundle`.

    An earlier demo there is replaced.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        StorageError: `folder` cannot be written.
    """
    write_digits(folder / PHOTOS)
    return run_job(Job(photos=folder / PHOTOS, out=folder / BUNDLE, force=True), progress)


def write_digits(folder: Path) -> None:
    """The digits as PNG files, dark on white, in class folders `0` to `9`."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError(
            "the demo needs scikit-learn, which is not installed", "Run: pip install 'lungfish[train]'"
        ) from None
    digits = load_digits()
    with storage_errors(folder):
        for number, (ink, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
            path = folder / str(digit) / f"{number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255 - ink * (255 / 16)).astype(np.uint8)).save(path)
