"""Time and memory of the main job: photos to proven bundle, features against torch, commands, growth with photos.

Run: make bench, or python benchmarks/main_job.py [DATA]. DATA holds `clothing-small` (3,781 photos in splits of class
folders) and `cifar10/train.parquet`. Prints a table, writes main_job.json beside itself. Medians; a peer is measured
in the same run, turn by turn. Needs the `train` install.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.runtime.measure import machine, versions
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.trunk import OnnxTrunk, normalized
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import from_network, load_network

HERE = Path(__file__).parent
JOBS, ROUNDS, STARTS = 3, 7, 7
BATCH = 16
CIFAR_PHOTOS = (2_500, 10_000)


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "shared" / "data"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        figures = {
            "job": measure_job(data / "clothing-small", work),
            "features": measure_features(data / "clothing-small"),
            "commands": measure_commands(data / "clothing-small", work),
            "memory": measure_memory(data / "cifar10" / "train.parquet", work),
        }
    packages = versions(("lungfish", "numpy", "onnxruntime", "pillow", "scikit-learn", "torch"))
    header = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "packages": packages}
    (HERE / "main_job.json").write_text(json.dumps(header | figures, indent=2) + "\n", encoding="utf-8")
    print_table(figures)


def measure_job(photos: Path, work: Path) -> dict[str, Any]:
    """The whole command in a process of its own, with an empty cache and again with what that left."""
    cold, cached = [], []
    for number in range(JOBS):
        cache = work / f"cache-{number}"
        cold.append(run_train(photos, work / "bundle", cache))
        cached.append(run_train(photos, work / "bundle", cache))
    return {
        "photos": sum(cold[0]["counts"].values()),
        "cold_s": [run["wall_s"] for run in cold],
        "cached_s": [run["wall_s"] for run in cached],
        "peak_rss_gib": max(run["peak_rss_bytes"] for run in cold + cached) / 2**30,
        "steps_cold_s": cold[0]["seconds"],
        "steps_cached_s": cached[0]["seconds"],
        "top1_default": cold[0]["test"]["top1"],
        "same_model_bytes": len({row["sha256"] for run in cold + cached for row in run["artifacts"]}) == 2,
    }


def run_train(photos: Path, out: Path, cache: Path) -> dict[str, Any]:
    began = time.perf_counter()
    command = [sys.executable, "-m", "lungfish", "train", str(photos), "--out", str(out), "--force", "--json"]
    command += ["--recipe", "probe"]
    if not out.exists():
        command.remove("--force")
    environment = os.environ | {"LUNGFISH_CACHE": str(cache)}
    finished = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(finished.stdout)
    return result | {"wall_s": round(time.perf_counter() - began, 2)}


def measure_features(photos: Path) -> dict[str, Any]:
    """Decoded photos through the trunk: ours against the same network in torch eager, channels_last."""
    import torch

    entry = find_entry("efficientnet_lite0.in1k")
    network = load_network(entry)
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    preprocess = Preprocessing(224)
    files = sorted(photos.rglob("*.jpg"))[: 4 * BATCH * threads]
    pixels = np.stack([preprocess.pixels(preprocess.decode(path.read_bytes())) for path in files])
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]

    trunk = OnnxTrunk(from_network(network), entry)
    network = network.to(memory_format=torch.channels_last)

    def ours() -> NDArray[np.float32]:
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(trunk, batches)))

    def eager() -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = [network.features(normalized(torch.from_numpy(batch), entry)).numpy() for batch in batches]
        return np.concatenate(parts)

    difference = float(np.abs(ours() - eager()).max())
    rates: dict[str, list[float]] = {"ours": [], "torch_eager": []}
    for _ in range(ROUNDS):
        for name, function in (("ours", ours), ("torch_eager", eager)):
            rates[name].append(len(pixels) / seconds(function))
    ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates["torch_eager"], strict=True))
    return {"batch": BATCH, "threads": threads, "images_per_s": rates, "ratio": ratio, "max_abs_diff": difference}


def measure_commands(photos: Path, work: Path) -> dict[str, Any]:
    """Wall-clock seconds of short commands, with a warm file cache."""
    photo = next((photos / "test").rglob("*.jpg"))
    commands = {
        "help_s": ["--help"],
        "predict_one_photo_s": ["predict", str(work / "bundle"), str(photo)],
    }
    return {
        name: [seconds(partial(run_command, arguments)) for _ in range(STARTS)] for name, arguments in commands.items()
    }


def run_command(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "lungfish", *arguments], check=True, capture_output=True)


def measure_memory(parquet: Path, work: Path) -> dict[str, Any]:
    """Peak memory of the whole job on CIFAR-10 photos written as files, few and many."""
    rows = []
    for count in CIFAR_PHOTOS:
        photos = work / f"cifar-{count}"
        write_cifar(parquet, photos, count)
        run = run_train(photos, work / f"cifar-{count}-bundle", work / f"cifar-cache-{count}")
        features_bytes = count * 1280 * 4
        rows.append(
            {
                "photos": count,
                "wall_s": run["wall_s"],
                "peak_rss_mib": run["peak_rss_bytes"] / 2**20,
                "features_mib": features_bytes / 2**20,
                "top1": run["test"]["top1"],
            }
        )
    grown = rows[1]["peak_rss_mib"] - rows[0]["peak_rss_mib"]
    return {"rows": rows, "grown_mib": grown, "features_grown_mib": rows[1]["features_mib"] - rows[0]["features_mib"]}


def write_cifar(parquet: Path, folder: Path, count: int) -> None:
    import pyarrow.parquet as pq

    written = 0
    for batch in pq.ParquetFile(parquet).iter_batches(500):
        image_column = next(name for name in batch.schema.names if name != "label")
        for image, label in zip(batch.column(image_column).to_pylist(), batch.column("label").to_pylist(), strict=True):
            path = folder / str(label) / f"{written:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image["bytes"])
            written += 1
            if written == count:
                return


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return round(time.perf_counter() - began, 3)


def print_table(figures: dict[str, Any]) -> None:
    job, features, commands, memory = (figures[key] for key in ("job", "features", "commands", "memory"))
    median = statistics.median
    rows = [
        ("photos to bundle, cold", f"{median(job['cold_s']):.1f} s", "<= 120 s, aim 60 s"),
        ("photos to bundle, cached features", f"{median(job['cached_s']):.1f} s", "<= 60 s"),
        ("peak memory of the job", f"{job['peak_rss_gib']:.2f} GiB", "<= 2.5 GiB"),
        ("same model bytes, cold and cached", str(job["same_model_bytes"]), "True"),
        ("top-1 of the default artifact", f"{job['top1_default']:.4f}", ">= 0.89"),
        ("features, ours", f"{median(features['images_per_s']['ours']):.0f} images/s", ""),
        ("features, torch eager channels_last", f"{median(features['images_per_s']['torch_eager']):.0f} images/s", ""),
        ("features, ratio", f"{features['ratio']:.2f}", ">= 2.5"),
        ("lungfish --help", f"{median(commands['help_s']):.2f} s", "<= 0.5 s"),
        ("lungfish predict, one photo", f"{median(commands['predict_one_photo_s']):.2f} s", "<= 1.0 s"),
    ]
    rows += [
        (f"peak memory, {row['photos']:,} CIFAR photos", f"{row['peak_rss_mib']:.0f} MiB", f"in {row['wall_s']:.0f} s")
        for row in memory["rows"]
    ]
    rows.append(
        ("memory grown, features grown", f"{memory['grown_mib']:.0f}, {memory['features_grown_mib']:.0f} MiB", "")
    )
    width = max(len(row[0]) for row in rows)
    for name, value, bound in rows:
        print(f"{name.ljust(width)}  {value:>18}  {bound}")


if __name__ == "__main__":
    main()
