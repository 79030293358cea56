"""Transfer learning against timm's: accuracy, time, steps a second, waiting for data, memory, growth with photos.

Run: python benchmarks/transfer.py [DATA] [PART ...], where PARTS are the keys of the JSON beside it; all if none is
named, about an hour on two quiet cores. DATA holds `clothing-small` and `cifar10/train.parquet`. The peer's accuracy
is that of transfer_peer.json, its speed is measured here, turn by turn with ours. Figures of accuracy are those of the
default artifact on the test photos. Needs the `bench` install.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from torch import nn
from torch.nn import functional as F

from lungfish.nn import Network
from lungfish.runtime.measure import machine, versions
from lungfish.training.finetune import choose_boundary, tail_of
from lungfish.training.layers import from_pixels
from lungfish.training.memory import kept_memory
from lungfish.training.optimizer import optimizer_of
from lungfish.training.stage_settings import Finetune, Full, Tuning
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import load_network
from transfer_peer import SETTINGS, peer_network, peer_step

HERE = Path(__file__).parent
RECORD = HERE / "transfer.json"
WEIGHTS = "efficientnet_lite0.in1k"
SEEDS, MINUTES = (0, 1, 2), 10
PER_CLASS = 25
THREADS, BATCH, ROUNDS, STEPS = 2, 32, 5, 3
CIFAR_PHOTOS = (1_250, 2_500, 5_000, 10_000)
RECIPES = ("probe", "finetune", "full")
CIFAR_ARCH = "efficientnet_lite0:resolution=96"


def main() -> None:
    names = [name for name in sys.argv[1:] if name in PARTS]
    places = [Path(name) for name in sys.argv[1:] if name not in PARTS]
    data = places[0] if places else HERE.parents[1] / "shared" / "data"
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else {}
    packages = versions(("lungfish", "onnxruntime", "pillow", "timm", "torch", "torchvision"))
    for name in names or PARTS:
        with tempfile.TemporaryDirectory() as work:
            figures = PARTS[name](data, Path(work))
        created = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "packages": packages}
        record[name] = created | figures
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"{name}\n{json.dumps(figures, indent=2)}", flush=True)


def measure_auto(data: Path, work: Path) -> dict[str, Any]:
    """`lungfish train --minutes 10`, nothing cached, for each seed."""
    return auto_jobs(data, work, MINUTES)


def measure_twentieth(data: Path, work: Path) -> dict[str, Any]:
    """The same in a twentieth of the minutes that the peer took."""
    peer = json.loads((HERE / "transfer_peer.json").read_text("utf-8"))
    minutes = round(peer["wall_s"] / 20 / 60, 2)
    figures = {"peer_top1_last": peer["test_top1_last"], "peer_top1_of_best_val": peer["test_top1_of_best_val"]}
    return figures | {"minutes": minutes} | auto_jobs(data, work, minutes)


def auto_jobs(data: Path, work: Path, minutes: float) -> dict[str, Any]:
    jobs = [job(data / "clothing-small", work / str(seed), "--seed", seed, "--minutes", minutes) for seed in SEEDS]
    top1 = [each["test"]["top1"] for each in jobs]
    return {
        "top1": top1,
        "top1_mean": statistics.mean(top1),
        "top1_fp32": [each["artifacts"][0]["top1"] for each in jobs],
        "wall_s": [each["wall_s"] for each in jobs],
        "steps": [[(row["recipe"], row["seconds"], row["kept"], row["why"]) for row in j["candidates"]] for j in jobs],
        "peak_rss_gib": max(each["peak_rss_bytes"] for each in jobs) / 2**30,
        "cache_gb": max(each["cache_bytes"] for each in jobs) / 1e9,
    }


def measure_few(data: Path, work: Path) -> dict[str, Any]:
    """250 photos, nothing cached, the default recipe; in a folder without a split."""
    photos = work / "photos"
    for folder in sorted((data / "clothing-small" / "train").iterdir()):
        (photos / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:PER_CLASS]:
            shutil.copy(photo, photos / folder.name)
    jobs = [job(photos, work / str(number)) for number in range(3)]
    return {
        "photos": sum(jobs[0]["counts"].values()),
        "wall_s": [each["wall_s"] for each in jobs],
        "median_s": statistics.median(each["wall_s"] for each in jobs),
        "top1": [each["test"]["top1"] for each in jobs],
        "cross_validation": jobs[0]["cross_validation"],
    }


def measure_steps(_data: Path, _work: Path) -> dict[str, Any]:
    """Images a second in training steps: ours at the boundary, ours in full, eager and compiled, timm's.

    Ours keep their memory between steps, as the loop does; timm's run as timm's script runs them, and once more with
    that of ours, which says what else there is to the difference.
    """
    torch.set_num_threads(THREADS)
    entry = find_entry(WEIGHTS)
    pixels = torch.randint(0, 256, (BATCH, 3, 224, 224), dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,))

    def ours() -> Network:
        network = load_network(entry)
        network.classifier = nn.Linear(network.classifier.in_features, 10)
        return network.eval()

    def in_full(*, compiled: bool) -> Callable[[], None]:
        network = ours()
        return stepper(
            from_pixels(network, entry.preprocessing(network.arch.resolution_px)),
            pixels,
            labels,
            Full(),
            compiled=compiled,
        )

    network = ours()
    block = choose_boundary(network.arch, Finetune().for_photos(3000).tail_share, 3000, 5, 10**10)
    with torch.inference_mode():
        held = network.blocks[:block](network.stem(torch.zeros(1, 3, 224, 224)))
    activations = torch.randn(BATCH, *held.shape[1:]).half()
    peer = peer_network(classes=10)
    peer.train()
    inputs = torch.randn(BATCH, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    peer_optimizer = create_optimizer_v2(peer, SETTINGS["opt"], SETTINGS["lr"], SETTINGS["weight_decay"])
    peer_loss = LabelSmoothingCrossEntropy(SETTINGS["smoothing"])
    steps: dict[str, Callable[[], object]] = {
        "finetune": stepper(tail_of(network, block), activations, labels, Finetune(), compiled=False),
        "full": in_full(compiled=False),
        "full_compiled": in_full(compiled=True),
        "timm": lambda: peer_step(peer, peer_optimizer, peer_loss, inputs, labels),
    }
    steps["timm_kept"] = steps["timm"]
    rates: dict[str, list[float]] = {name: [] for name in steps}
    for name, step in steps.items():
        began = time.perf_counter()
        step()
        print(f"{name}: first step {time.perf_counter() - began:.1f} s", flush=True)
        step()
    for _ in range(ROUNDS):
        for name, step in steps.items():
            with nullcontext() if name == "timm" else kept_memory("cpu"):
                step()
                began = time.perf_counter()
                for _ in range(STEPS):
                    step()
                rates[name].append(STEPS * BATCH / (time.perf_counter() - began))

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    return {
        "block": block,
        "batch": BATCH,
        "images_per_s": {name: statistics.median(values) for name, values in rates.items()},
        "rounds": rates,
        "finetune_over_full": ratio("finetune", "full"),
        "finetune_over_timm": ratio("finetune", "timm"),
        "full_over_timm": ratio("full", "timm"),
        "compiled_over_timm": ratio("full_compiled", "timm"),
        "compiled_over_full": ratio("full_compiled", "full"),
        "full_over_timm_kept": ratio("full", "timm_kept"),
        "compiled_over_timm_kept": ratio("full_compiled", "timm_kept"),
    }


def stepper(
    network: nn.Sequential, inputs: torch.Tensor, labels: torch.Tensor, tuning: Tuning, *, compiled: bool
) -> Callable[[], None]:
    """A training step as the loop takes it, on one batch."""
    optimizer = optimizer_of(network, tuning)
    model = torch.compile(network) if compiled else network

    def step() -> None:
        optimizer.zero_grad()
        logits = model(inputs)
        F.cross_entropy(logits, labels, label_smoothing=tuning.label_smoothing).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure_waiting(data: Path, work: Path) -> dict[str, Any]:
    """The share of its time that `full` waits for decoded, augmented photos, and what reading them beside costs it."""
    recipe, photos = work / "full.toml", data / "clothing-small" / "validation"
    rows = {}
    for policy in ("none", "trivial"):
        text = f'name = "waiting"\n[full]\nepochs = 3\ninitial_resolution_scale = 1.0\npolicy = "{policy}"\n'
        recipe.write_text(text, encoding="utf-8")
        rows[policy] = job(photos, work / policy, "--recipe", recipe)["epochs"][-1]  # the first ones warm up
    torch.set_num_threads(THREADS)
    network, entry = load_network(find_entry(WEIGHTS)), find_entry(WEIGHTS)
    pixels = torch.randint(0, 256, (Full().batch_size, 3, 224, 224), dtype=torch.uint8)
    labels = torch.randint(0, 1000, (len(pixels),))
    step = stepper(
        from_pixels(network.eval(), entry.preprocessing(network.arch.resolution_px)),
        pixels,
        labels,
        Full(),
        compiled=False,
    )
    rates = []
    with kept_memory("cpu"):
        for _ in range(1 + ROUNDS):
            began = time.perf_counter()
            step()
            rates.append(len(pixels) / (time.perf_counter() - began))
    return {
        "data_wait": {policy: row["data_wait"] for policy, row in rows.items()},
        "images_per_s": {policy: row["images_per_s"] for policy, row in rows.items()},
        "images_per_s_ready_made": statistics.median(rates[1:]),  # the first one warms up
    }


def measure_growth(data: Path, work: Path) -> dict[str, Any]:
    """CIFAR from Parquet: time, memory and disk of each recipe with ever more photos; one epoch each."""
    import pyarrow.parquet as pq

    whole = pq.read_table(data / "cifar10" / "train.parquet")
    rows = []
    for count in CIFAR_PHOTOS:
        table = work / f"{count}.parquet"
        pq.write_table(whole.slice(0, count), table, row_group_size=1000)
        for recipe in RECIPES:
            options = ("--arch", CIFAR_ARCH, "--recipe", recipe, *(() if recipe == "probe" else ("--epochs", 1)))
            done = job(table, work / f"{recipe}-{count}", *options)
            rows.append(
                {
                    "photos": count,
                    "recipe": recipe,
                    "wall_s": done["wall_s"],
                    "peak_rss_gib": done["peak_rss_bytes"] / 2**30,
                    "cache_gb": done["cache_bytes"] / 1e9,
                    "top1": done["test"]["top1"],
                }
            )
            print(rows[-1], flush=True)
    draw_growth(rows)
    return {"arch": CIFAR_ARCH, "r2_of_a_line": {r: line_through(rows, r)[2] for r in RECIPES}, "rows": rows}


def line_through(rows: list[dict[str, Any]], recipe: str) -> tuple[float, float, float]:
    """Seconds without photos, seconds a photo, and R2, of a recipe's jobs."""
    mine = [(row["photos"], row["wall_s"]) for row in rows if row["recipe"] == recipe]
    slope, start = statistics.linear_regression(*zip(*mine, strict=True))
    return start, slope, statistics.correlation(*zip(*mine, strict=True)) ** 2


def draw_growth(rows: list[dict[str, Any]]) -> None:
    """The picture in docs/training.md."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "lungfish"  # the same bytes for the same figures
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for recipe in RECIPES:
        start, slope, r2 = line_through(rows, recipe)
        photos, seconds = zip(*((row["photos"], row["wall_s"]) for row in rows if row["recipe"] == recipe), strict=True)
        label = f"{recipe}: {start:.0f} s and {1000 * slope:.1f} s for each 1,000 photos, R² {r2:.3f}"
        (dots,) = axes.plot(photos, seconds, "o", label=label)
        axes.plot((0, max(photos)), (start, start + slope * max(photos)), color=dots.get_color(), linewidth=1)
    axes.set(xlabel="photos", ylabel="seconds, photos to finished bundle", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(HERE.parent / "docs" / "growth.svg", metadata={"Date": None})


def job(photos: Path, work: Path, *options: object) -> dict[str, Any]:
    """`lungfish train` in a process of its own with an empty cache: its JSON, the wall time, what the cache takes."""
    cache = work / "cache"
    command = [sys.executable, "-m", "lungfish", "train", photos, "--out", work / "bundle", "--json", *options]
    began = time.perf_counter()
    environment = os.environ | {"LUNGFISH_CACHE": str(cache)}
    ended = subprocess.run(list(map(str, command)), env=environment, check=True, stdout=subprocess.PIPE)
    wall_s = time.perf_counter() - began
    held = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    shutil.rmtree(cache)
    result: dict[str, Any] = json.loads(ended.stdout)
    return result | {"wall_s": wall_s, "cache_bytes": held}


PARTS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "auto": measure_auto,
    "twentieth": measure_twentieth,
    "few": measure_few,
    "steps": measure_steps,
    "waiting": measure_waiting,
    "growth": measure_growth,
}

if __name__ == "__main__":
    main()
