"""Scaled JPEG decoding against Pillow's full decode on 12-megapixel photos: time, and what the network then answers.

Run: python benchmarks/decoding.py [PHOTOS], about ten minutes; prints a table, writes decoding.json beside itself. 200
photos below PHOTOS are enlarged to 4000 x 3000, given a camera's grain (smooth ones would be small, and quick to
decode) and saved at quality 90. Both ways make the same square of pixels from a file, turn by turn on one thread; times
are that thread's CPU time, for which other jobs matter little. Answers are those of the packaged EfficientNet-Lite0
among ImageNet's classes.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lungfish.core.progress import Lines, Progress
from lungfish.data.augment.augmentation import Augmentation, augmented, view_rng
from lungfish.deploy.classifier import Classifier
from lungfish.runtime.decode import decode
from lungfish.runtime.engines.engine import Engine
from lungfish.runtime.measure import machine, versions
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import load_weights

HERE = Path(__file__).parent
WEIGHTS = "efficientnet_lite0.in1k"
PHOTOS = 200
SIZE, QUALITY = (4000, 3000), 90
GRAIN = 4.0  # standard deviation, of 255
AUGMENTATION = Augmentation()


def main() -> None:
    default = HERE.parents[1] / "shared" / "data" / "clothing-small"
    paths = sorted((Path(sys.argv[1]) if len(sys.argv) > 1 else default).rglob("*.jpg"))
    chosen = [paths[i] for i in sorted(np.random.default_rng(0).choice(len(paths), PHOTOS, replace=False))]
    with tempfile.TemporaryDirectory() as folder:
        session, preprocess = open_network(Path(folder))
        file_bytes, views = measure(chosen, preprocess)
    rows = {name: row(turns, session) for name, turns in views.items()}
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(("lungfish", "numpy", "onnxruntime", "pillow")),
        "photos": {"count": PHOTOS, "size": SIZE, "quality": QUALITY, "median_bytes": int(np.median(file_bytes))},
        "weights": WEIGHTS,
        "views": rows,
    }
    (HERE / "decoding.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{'view':10}{'full ms':>9}{'scaled ms':>11}{'speed-up':>10}{'top-1 agreement':>17}{'mean |difference|':>19}")
    for name, figures in rows.items():
        full_ms, scaled_ms, speedup, agreement, difference = figures.values()
        print(f"{name:10}{full_ms:9.1f}{scaled_ms:11.1f}{speedup:10.2f}{agreement:17.3f}{difference:19.2f}")


def open_network(folder: Path) -> tuple[Engine, Preprocessing]:
    entry = find_entry(WEIGHTS)
    assert entry is not None
    network = load_weights(entry)
    preprocess = entry.preprocessing(network.arch.resolution_px)
    labels = tuple(str(index) for index in range(network.arch.classes))
    return Classifier(network, 1.0, labels, preprocess, entry).write(folder).open(threads=1), preprocess


Turn = tuple[float, float, NDArray[np.uint8], NDArray[np.uint8]]  # milliseconds and pixels: full, scaled


def measure(paths: list[Path], preprocess: Preprocessing) -> tuple[list[int], dict[str, list[Turn]]]:
    """Bytes of each photo; for each kind of view both ways to it."""
    file_bytes: list[int] = []
    views: dict[str, list[Turn]] = {"plain": [], "augmented": []}
    with Progress(Lines()).task("photos", len(paths)) as advance:
        for i, path in enumerate(paths):
            data = large_photo(path, i)
            file_bytes.append(len(data))

            def part(image: Image.Image, number: int = i) -> NDArray[np.uint8]:
                return augmented(image, preprocess, AUGMENTATION, view_rng(0, "", number))

            draft_px = AUGMENTATION.draft_px(preprocess)
            views["plain"].append(both_ways(data, preprocess.draft_px, preprocess.pixels, i))
            views["augmented"].append(both_ways(data, draft_px, part, i))
            advance(1)
    return file_bytes, views


def large_photo(path: Path, seed: int) -> bytes:
    image = Image.open(path).convert("RGB")
    large = image.resize(SIZE if image.width >= image.height else SIZE[::-1], Image.Resampling.BICUBIC)
    grain = np.random.default_rng(seed).normal(0, GRAIN, (large.height, large.width, 1)).astype(np.float32)
    noisy = (np.asarray(large) + grain).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def both_ways(data: bytes, draft_px: int, pixels: Callable[[Image.Image], NDArray[np.uint8]], number: int) -> Turn:
    def full() -> NDArray[np.uint8]:
        return pixels(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))

    def scaled() -> NDArray[np.uint8]:
        return pixels(decode(data, draft_px))

    if number % 2:
        (scaled_ms, ours), (full_ms, pillows) = timed(scaled), timed(full)
    else:
        (full_ms, pillows), (scaled_ms, ours) = timed(full), timed(scaled)
    return full_ms, scaled_ms, pillows, ours


def timed(make: Callable[[], NDArray[np.uint8]]) -> tuple[float, NDArray[np.uint8]]:
    began = time.thread_time()
    pixels = make()
    return 1000 * (time.thread_time() - began), pixels


def row(turns: list[Turn], session: Engine) -> dict[str, Any]:
    full_ms, scaled_ms, pillows, ours = (np.array(column) for column in zip(*turns, strict=True))
    answers = [session.run(pixels).argmax(axis=1) for pixels in (pillows, ours)]
    return {
        "full_ms": round(float(np.median(full_ms)), 2),
        "scaled_ms": round(float(np.median(scaled_ms)), 2),
        "speedup": round(float(np.median(full_ms / scaled_ms)), 3),
        "top1_agreement": float((answers[0] == answers[1]).mean()),
        "mean_abs_difference": round(float(np.abs(pillows.astype(int) - ours).mean()), 3),  # of 255
    }


if __name__ == "__main__":
    main()
