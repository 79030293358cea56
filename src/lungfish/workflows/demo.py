"""The main job on data that is already installed: scikit-learn's handwritten digits, 1,797 scans of 8 x 8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lungfish.core.errors import MissingExtraError, OutputError
from lungfish.core.files import storage_errors
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.workflows.job import Job, TrainResult
from lungfish.workflows.train import run_job

PHOTOS, BUNDLE = "digits", "digits-bundle"


def demo(folder: Path, progress: Progress) -> TrainResult:
    """Write the digits into `folder/digits`, one folder per class, and train on them into `folder/digits-bundle`.

    An earlier demo there is replaced.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        OutputError: `folder/digits` holds something else.
        StorageError: `folder` cannot be written.
    """
    write_digits(folder / PHOTOS)
    return run_job(Job(photos=folder / PHOTOS, out=folder / BUNDLE, recipe="probe", force=True), progress)


def write_digits(folder: Path) -> None:
    """The digits as PNG files, dark on white, in class folders `0` to `9`."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError(
            "the demo needs scikit-learn, which is not installed", "Run: pip install 'lungfish[train]'"
        ) from None
    digits = load_digits()
    named = {
        f"{digit}/{number:04}.png": ink
        for number, (ink, digit) in enumerate(zip(digits.images, digits.target, strict=True))
    }
    with storage_errors(folder):
        foreign = [
            path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix() not in named
        ]
        if foreign:
            raise OutputError(
                f"{printable(str(folder))} holds files that are not the demo's, such as {printable(foreign[0].name)}",
                "Choose another folder: lungfish demo --out DIR",
            )
        for name, ink in named.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255 - ink * (255 / 16)).astype(np.uint8)).save(path)
