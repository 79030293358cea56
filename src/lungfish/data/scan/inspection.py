"""Inspect a decoded photo: compute two signatures that find its copies."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image

from lungfish.core.cache import cache_folder
from lungfish.core.errors import MissingExtraError
from lungfish.core.extras import install_extra
from lungfish.core.hashing import sha256_json
from lungfish.data.scan.row_store import RowStore
from lungfish.runtime.preprocessing import Preprocessing

# Increase if a field below is computed differently, or if photos that were read before are refused; older cache
# entries are then ignored.
VERSION = 4
SIGNATURE_SIDE = 8
HASHED_SIDE, HASH_SIDE = 32, 8
_importing = threading.Lock()
ROW = np.dtype([("phash", "<u8"), ("signature", "u1", (SIGNATURE_SIDE, SIGNATURE_SIDE, 3))])


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """Hashes and thumbnail of a photo that can be decoded.

    Args:
        sha256: SHA-256 of the file's bytes, in hexadecimal.
        phash: 64-bit perceptual hash of the preprocessed picture.
        signature: Preprocessed picture at 8 x 8, uint8 `[8, 8, 3]`.
    """

    sha256: str
    phash: int
    signature: NDArray[np.uint8]


def inspect(sha256: str, pixels: NDArray[np.uint8]) -> Inspection:
    """Return the inspection of a photo.

    Args:
        sha256: SHA-256 of the file's bytes, in hexadecimal.
        pixels: Preprocessed picture, uint8 `[resolution, resolution, 3]`.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    square = Image.fromarray(pixels)
    signature = square.resize((SIGNATURE_SIDE, SIGNATURE_SIDE), Image.Resampling.BOX)
    return Inspection(sha256, perceptual_hash(square), np.asarray(signature))


def perceptual_hash(image: Image.Image) -> int:
    """Return the 64-bit perceptual hash of a picture, the one of `imagehash.phash`.

    Its bits say which of the 64 lowest frequencies of the picture, in gray at 32 x 32, exceed their median.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    with _importing:  # threads arrive here at once, and importing scipy is not thread-safe
        try:
            from scipy.fftpack import dct
        except ImportError as error:
            hint = f"Run: {install_extra('train')}"
            raise MissingExtraError("finding duplicate photos needs SciPy", hint) from error
    gray = image.convert("L").resize((HASHED_SIDE, HASHED_SIDE), Image.Resampling.LANCZOS)
    lowest = dct(dct(np.asarray(gray), axis=0), axis=1)[:HASH_SIDE, :HASH_SIDE]
    return int.from_bytes(np.packbits(lowest > np.median(lowest)).tobytes(), "big")


class InspectionCache:
    """Inspections by content, on disk, for one preprocessing.

    Failures are not cached: they take little time, and a new extra or a newer Pillow may be able to read the photos.
    """

    def __init__(self, preprocess: Preprocessing) -> None:
        self.store = RowStore(inspections_folder(preprocess), ROW)

    def get(self, sha256: str) -> Inspection | None:
        row = self.store.get(sha256)
        return None if row is None else Inspection(sha256, int(row["phash"]), np.array(row["signature"]))

    def add(self, seen: Inspection) -> None:
        self.store.add(seen.sha256, (seen.phash, seen.signature))


def inspections_folder(preprocess: Preprocessing) -> Path:
    """Return the cache folder for inspections with this preprocessing and this decoder."""
    key = sha256_json({"version": VERSION, "pillow": PIL.__version__, "preprocess": preprocess.to_json()})
    return cache_folder() / "inspections" / key
