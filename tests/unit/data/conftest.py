"""Small generated pictures, and a trunk whose features are easy to check."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungfish.data.photos import Photo
from lungfish.data.scan.examined import Record
from lungfish.data.scan.inspection import Inspection

SHARED = Path(__file__).parents[4] / "shared" / "data"


class MeanTrunk:
    """Features are the channel means; counts the photos it has seen."""

    key = "mean"
    width = 3

    def __init__(self) -> None:
        self.seen = 0
        self._lock = threading.Lock()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with self._lock:
            self.seen += len(pixels)
        return pixels.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)


def _picture(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def _encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _write_classes(root: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    seed = first_seed
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root / name / f"{i:03d}.png").write_bytes(_encoded(_picture(seed)))
            seed += 1
    return root


def _record(name: str, label: int, content: str = "", split: str | None = None, group: str | None = None) -> Record:
    sha256 = hashlib.sha256((content or name).encode()).hexdigest()
    seed = int(sha256[:8], 16)
    signature = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    seen = Inspection(sha256, int(sha256[:16], 16), signature)
    return Record(Photo(name, label, split, group), seen)


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """A smooth random picture that resembles no other seed's."""
    return _picture


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    return _encoded


@pytest.fixture
def write_classes() -> Callable[..., Path]:
    """Write class folders with so many pictures each, no two alike."""
    return _write_classes


@pytest.fixture
def record() -> Callable[..., Record]:
    """A record without a file; its hashes follow from `content`, by default its name."""
    return _record


@pytest.fixture
def trunk() -> MeanTrunk:
    return MeanTrunk()


@pytest.fixture
def shared_data() -> Path:
    """The real data beside the repository, if it is there."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data")
    return SHARED
