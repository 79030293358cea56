"""Train on scikit-learn's handwritten digits: 1,797 scans of 8 x 8 pixels, which need no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.errors import MissingExtraError, OutputError, UnreadablePhotoError
from lungfish.core.extras import install_extra
from lungfish.core.files import storage_errors
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.job.replace_bundle import next_free, stands
from lungfish.job.result import TrainResult
from lungfish.job.run import run_job
from lungfish.job.spec import Job
from lungfish.runtime.decode import decode, read_photo

PHOTOS, BUNDLE = "digits", "digits-bundle"


def demo(folder: Path, progress: Progress) -> TrainResult:
    """Write the digits into `folder/digits`, one folder per class, and train a bundle on them.

    The bundle is `folder/digits-bundle`, or `digits-bundle-2`, ... if that exists.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        OutputError: `folder/digits` contains something else.
        StorageError: `folder` cannot be written.
    """
    write_digits(folder / PHOTOS)
    bundle = folder / BUNDLE
    out = next_free(bundle) if stands(bundle) else bundle
    return run_job(Job(photos=folder / PHOTOS, out=out, recipe="probe"), progress)


def write_digits(folder: Path) -> None:
    """Write the digits as PNG files, dark on white, into class folders `0` to `9`. Files of an earlier demo stay."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError(
            "the demo needs scikit-learn, which is not installed", f"Run: {install_extra('train')}"
        ) from None
    digits = load_digits()
    named = {
        f"{digit}/{number:04}.png": (255 - ink * (255 / 16)).astype(np.uint8)
        for number, (ink, digit) in enumerate(zip(digits.images, digits.target, strict=True))
    }
    with storage_errors(folder):
        for path in (folder, *folder.rglob("*")):
            if not _is_of_demo(path, named.get(path.relative_to(folder).as_posix())):
                raise OutputError(
                    f"{printable(str(folder))} contains a file that is not part of the demo: {printable(path.name)}",
                    "Choose another folder: lungfish demo --out DIR",
                )
        for name, pixels in named.items():
            if not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / name)


def _is_of_demo(path: Path, pixels: NDArray[np.uint8] | None) -> bool:
    """Return whether the path may stay in the demo's folder: it is a folder, or an unchanged digit file of the demo."""
    if path.is_symlink():
        return False
    if pixels is None:
        return path.is_dir() or not path.exists()
    try:
        return np.array_equal(np.asarray(decode(read_photo(path)))[..., 0], pixels)
    except UnreadablePhotoError:
        return False
