"""Time and memory of the main job: photos to proven bundle, features against torch, commands, growth with photos.

Run: make bench, or python benchmarks/main_job.py [DATA] [--python FILE] [--only SECTION ...]. DATA holds
`clothing-small` (3,781 photos in splits of class folders) and `cifar10/train.parquet`. Jobs and commands run with
`--python`, for example that of an install of `train` alone. Prints a table, writes main_job.json beside itself.
Medians; a peer is measured in the same run, turn by turn. Needs the `torch` and `parquet` installs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
RECORD = HERE / "main_job.json"
JOBS, ROUNDS, STARTS = 3, 7, 7
BATCH = 16
ADDED_PHOTOS = 100
SECTIONS = ("job", "features", "commands", "memory")
CIFAR_PHOTOS = (2_500, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the jobs and commands")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="keep the other figures")
    options = parser.parse_args()
    figures = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else {}
    packages = versions(("lungfish", "numpy", "onnxruntime", "pillow", "scikit-learn", "torch"))
    header = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "packages": packages}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clothing, cifar = options.data / "clothing-small", options.data / "cifar10" / "train.parquet"
        measure: dict[str, Callable[[], dict[str, Any]]] = {
            "job": lambda: measure_job(options.python, clothing, work),
            "features": lambda: measure_features(clothing),
            "commands": lambda: measure_commands(options.python, clothing, work),
            "memory": lambda: measure_memory(options.python, cifar, work),
        }
        for section in options.only:
            figures[section] = header | measure[section]()
            RECORD.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print_table(figures)


def measure_job(python: str, photos: Path, work: Path) -> dict[str, Any]:
    """The whole command in a process of its own: with an empty cache, with what that left, and on a busy machine."""
    cold, cached, busy = [], [], []
    for number in range(JOBS):
        cache = work / f"cache-{number}"
        cold.append(run_train(python, photos, work / "bundle", cache))
        cached.append(run_train(python, photos, work / "bundle", cache))
        with busy_core():
            busy.append(run_train(python, photos, work / "bundle", work / f"cache-busy-{number}"))
    return {
        "photos": sum(cold[0]["counts"].values()),
        "cold_s": [run["wall_s"] for run in cold],
        "cached_s": [run["wall_s"] for run in cached],
        "busy_core_s": [run["wall_s"] for run in busy],
        "added_photos_s": measure_added(python, photos, work),
        "peak_rss_gib": max(run["peak_rss_bytes"] for run in cold + cached) / 2**30,
        "steps_cold_s": cold[0]["seconds"],
        "steps_cached_s": cached[0]["seconds"],
        "steps_busy_core_s": busy[0]["seconds"],
        "top1_default": cold[0]["test"]["top1"],
        "same_model_bytes": len({row["sha256"] for run in cold + cached + busy for row in run["artifacts"]}) == 2,
    }


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy with another process."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def measure_added(python: str, photos: Path, work: Path) -> float:
    """The second job on a folder to which training photos were added."""
    folder, cache = work / "growing", work / "cache-growing"
    shutil.copytree(photos, folder)
    training = sorted((folder / "train").rglob("*.jpg"))
    later = training[:: len(training) // ADDED_PHOTOS][:ADDED_PHOTOS]
    kept = [(path, path.read_bytes()) for path in later]
    for path in later:
        path.unlink()
    run_train(python, folder, work / "growing-bundle", cache)
    for path, data in kept:
        path.write_bytes(data)
    second: float = run_train(python, folder, work / "growing-bundle", cache)["wall_s"]
    return second


def run_train(python: str, photos: Path, out: Path, cache: Path) -> dict[str, Any]:
    began = time.perf_counter()
    command = [python, "-m", "lungfish", "train", str(photos), "--out", str(out), "--force", "--json"]
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


def measure_commands(python: str, photos: Path, work: Path) -> dict[str, Any]:
    """Wall-clock seconds of short commands, and until a job's first line, with a warm file cache."""
    photo = next((photos / "test").rglob("*.jpg"))
    if not (work / "bundle").exists():
        run_train(python, photos, work / "bundle", work / "cache")
    commands = {
        "help_s": ["--help"],
        "predict_one_photo_s": ["predict", str(work / "bundle"), str(photo)],
    }
    timed = {
        name: [seconds(partial(run_command, python, arguments)) for _ in range(STARTS)]
        for name, arguments in commands.items()
    }
    job = ["train", str(photos), "--out", str(work / "stopped"), "--progress", "plain"]
    return timed | {"first_line_s": [seconds(partial(run_to_first_line, python, job)) for _ in range(STARTS)]}


def run_command(python: str, arguments: list[str]) -> None:
    subprocess.run([python, "-m", "lungfish", *arguments], check=True, capture_output=True)


def run_to_first_line(python: str, arguments: list[str]) -> None:
    with subprocess.Popen([python, "-m", "lungfish", *arguments], stderr=subprocess.PIPE) as job:
        assert job.stderr
        job.stderr.readline()
        job.kill()


def measure_memory(python: str, parquet: Path, work: Path) -> dict[str, Any]:
    """Peak memory of the whole job on CIFAR-10 photos written as files, few and many."""
    rows = []
    for count in CIFAR_PHOTOS:
        photos = work / f"cifar-{count}"
        write_cifar(parquet, photos, count)
        run = run_train(python, photos, work / f"cifar-{count}-bundle", work / f"cifar-cache-{count}")
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
        ("photos to bundle, cold", f"{median(job['cold_s']):.1f} s", "<= 45 s with VNNI, 55 s without"),
        ("photos to bundle, cached features", f"{median(job['cached_s']):.1f} s", "<= 20 s"),
        ("the same, cold, with one core busy", f"{median(job['busy_core_s']):.1f} s", "<= 1.6 x"),
        (f"second job, {ADDED_PHOTOS} photos added", f"{job['added_photos_s']:.1f} s", "<= 25 s"),
        ("peak memory of the job", f"{job['peak_rss_gib']:.2f} GiB", "<= 1.2 GiB"),
        ("same model bytes, cold and cached", str(job["same_model_bytes"]), "True"),
        ("top-1 of the default artifact", f"{job['top1_default']:.4f}", ">= 0.91"),
        ("features, ours", f"{median(features['images_per_s']['ours']):.0f} images/s", ""),
        ("features, torch eager channels_last", f"{median(features['images_per_s']['torch_eager']):.0f} images/s", ""),
        ("features, ratio", f"{features['ratio']:.2f}", ">= 2.5"),
        ("first line of lungfish train", f"{median(commands['first_line_s']):.2f} s", "<= 1.5 s"),
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
