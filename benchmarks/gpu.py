"""Training on a GPU in bfloat16: steps against timm's, and real photos against ready-made ones.

Run: python benchmarks/gpu.py [PART ...] [--table FILE], where PARTS are `mobilenet_v2`, `efficientnet_b0` and `photos`,
each about five minutes; all if none is named. Needs a CUDA GPU and the `bench` install. Prints Markdown, and writes
gpu.json beside itself after every row: what a run that is cut short has measured stays. docs/gpu.md says how to run it
on a machine without a network.

A network's part: the loop of recipe `full` itself (autocast, moving average, fused AdamW) trains our network on a batch
that lies on the GPU; whenever it would validate, timm's network is trained for as many steps, as its train.py does.
With `learned` batch norm both do the same work; `frozen` is the recipe as it is. Eager and compiled, at a batch of 128
and at the largest power of two at which both networks fit on the card at once.

`photos`: recipe `full` on CIFAR-10 from Parquet, upsampled to 224, against a batch that lies on the GPU, epochs in
turn. FILE is `test.parquet` by default, 10,000 photos.

`--small` runs everything on the CPU with tiny pictures, to see that it runs; it writes nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_peer import PAIR_OF, Config, peer_turn
from lungfish import nn
from lungfish.architecture import parse_arch
from lungfish.data.augment.fresh import FreshAugmentation
from lungfish.data.loading.batches import PhotoBatches, plain_batches
from lungfish.data.loading.loader import PhotoLoader
from lungfish.data.scan.examination import examine
from lungfish.data.scan.examined import Record
from lungfish.data.sources import open_photos
from lungfish.evaluation.stage_result import Score
from lungfish.job.start import INITIAL
from lungfish.runtime.measure import machine, versions
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.full import full
from lungfish.training.group import Group
from lungfish.training.layers import from_pixels
from lungfish.training.loop import Run, fit
from lungfish.training.stage_settings import Full
from lungfish.training.train_step import Batch, Positions
from lungfish.training.validation import Validation

HERE = Path(__file__).parent
RECORD = HERE / "gpu.json"
ON_GPU = Config("cuda:0", 224, 128, 2048, steps=30, rounds=7, photos=10_000, workers=os.cpu_count() or 1)
SMALL = Config("cpu", 32, 4, 8, steps=2, rounds=2, photos=40, workers=1)
PARTS = (*PAIR_OF, "photos")
LEARNING_RATE = 1e-6  # random weights with frozen statistics might diverge; the time does not depend on it
VAL_PHOTOS = 64  # validated on between epochs, which is not timed
TABLE_HEAD = """| network | what | way | batch | images/s | against | ratio | rounds' ratios |
|---|---|---|---:|---:|---:|---:|---|"""
Row = dict[str, Any]


def main() -> None:
    default = HERE.parents[1] / "shared" / "data" / "cifar10" / "test.parquet"
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    arguments.add_argument("--table", type=Path, default=default, metavar="FILE", help="CIFAR-10 as Parquet")
    arguments.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        arguments.error(f"no such part: {', '.join(sorted(unknown))}")
    if not asked.small and not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA GPU, and torch sees none here. Nothing was measured.")
    config = SMALL if asked.small else ON_GPU
    record = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() and not asked.small else {}
    header = {
        "gpu": None if asked.small else torch.cuda.get_device_name(),
        "machine": machine(),
        "packages": versions(("lungfish", "timm", "torch", "torchvision", "triton")),
    }
    print(f"{header['gpu']}; {header['packages']}\n\n{TABLE_HEAD}")
    with tempfile.TemporaryDirectory() as cache, ProcessPoolExecutor(1, get_context("spawn")) as peers:
        os.environ["LUNGFISH_CACHE"] = cache
        for part in asked.parts or PARTS:
            rows: list[Row] = []
            record[part] = {"date": datetime.now(UTC).isoformat(timespec="seconds")} | header | {"rows": rows}
            measured = measure_photos(asked.table, config) if part == "photos" else measure_steps(part, config, peers)
            for row in measured:
                rows.append(row)
                print(table_line(row), flush=True)
                if not asked.small:
                    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def measure_steps(arch: str, config: Config, peers: Executor) -> Iterator[Row]:
    """Both networks in turns: eager and compiled, at the batch and at the largest one."""
    largest = config.batch
    while 2 * largest <= config.most_batch:
        if not take_turns(arch, replace(config, batch=2 * largest, steps=2, rounds=1), peers):
            break
        largest *= 2
    for compiled in (False, True):
        for batch in dict.fromkeys((config.batch, largest)):
            yield from take_turns(arch, replace(config, batch=batch, compiled=compiled), peers)


def take_turns(arch: str, config: Config, peers: Executor) -> list[Row]:
    """A row for each way to treat batch norm; none if the networks do not fit on the card."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.compiler.reset()  # else a second batch would be compiled for batches of any size
    network = PAIR_OF[arch].build_ours()
    assert isinstance(network, nn.Network)
    sequence = from_pixels(network, INITIAL.preprocessing(config.side_px)).to(config.device)
    run = Run(group=Group(device=config.device), bfloat16=True, compiled=config.compiled)
    theirs: list[float] = []

    def turn_of_the_peer(_network: object) -> Score:
        config.wait()
        rate = peers.submit(peer_turn, arch, config).result()
        if rate is None:
            raise torch.OutOfMemoryError("in the peer's process")
        theirs.append(rate)
        return Score(0.0, 0.0)

    rows = []
    epochs = 1 + config.rounds
    recipe = Full(epochs=epochs, patience=epochs, batch_size=config.batch, learning_rate=LEARNING_RATE)
    try:
        # learned first: in a network that has no statistics yet, frozen ones would be those of nothing
        for name, tuning in (("learned", replace(recipe, batch_norm="batch")), ("frozen", recipe)):
            fitted = fit(sequence, ReadyBatches(config), turn_of_the_peer, tuning, run)
            ours = [row["images_per_s"] for row in fitted.history]
            what = f"steps against timm's, batch norm {name}"
            rows.append(row_of(arch, what, config, ours[-config.rounds :], theirs[-config.rounds :]))
    except torch.OutOfMemoryError:
        return []
    return rows


class ReadyBatches:
    """The same batch for every step; an epoch is a turn."""

    def __init__(self, config: Config) -> None:
        self._batch = config.pixels(), config.labels()
        self.labels = np.zeros(config.steps * config.batch, np.int64)

    def __call__(self, _epoch: int, chunks: Sequence[Positions]) -> Iterator[Batch]:
        return (self._batch for _ in chunks)


def measure_photos(table: Path, config: Config) -> Iterator[Row]:
    """Recipe `full` on photos of the table, against ready-made ones; all epochs at the last ones' resolution."""
    listed, preprocess = open_photos(table), Preprocessing(config.side_px)
    photos = replace(listed, photos=listed.photos[: config.photos])
    records = examine(photos, preprocess).records
    run = Run(group=Group(device=config.device))
    epochs = 2 * (1 + config.rounds)
    recipe = Full(
        epochs=epochs, patience=epochs, learning_rate=LEARNING_RATE, initial_resolution_scale=1.0, precision="bfloat16"
    )
    augmentation = FreshAugmentation(recipe.min_area, flips=recipe.flips, policy=recipe.policy)
    for arch in PAIR_OF:
        for compiled in (False, True):
            torch.compiler.reset()
            here = replace(config, batch=recipe.batch_size, compiled=compiled)
            network = nn.build(parse_arch(f"{arch}:resolution={config.side_px}").with_classes(len(photos.labels)))
            tuning = replace(recipe, compile="always" if compiled else "never")
            with PhotoLoader(photos.reader, config.workers) as loader:
                real = PhotoBatches(loader, records, preprocess, augmentation, seed=0)
                val = validation(loader, records[:VAL_PHOTOS], preprocess, run.group)
                in_turn = PhotosInTurn(real, here.pixels())
                history = full(network, INITIAL.preprocessing(config.side_px), in_turn, val, tuning, run).history
            ready, reals = history[2::2], history[3::2]
            rates = ([row["images_per_s"] for row in rows] for rows in (reals, ready))
            waited = statistics.median(row["data_wait"] for row in reals)
            yield row_of(arch, "photos against ready-made ones", here, *rates) | {"data_wait": waited}


class PhotosInTurn:
    """Ready-made photos in even epochs, real ones in odd epochs."""

    def __init__(self, real: PhotoBatches, ready: Tensor) -> None:
        self._real, self._ready = real, ready

    @property
    def labels(self) -> NDArray[np.int64]:
        return self._real.labels

    def epoch(self, epoch: int, chunks: Sequence[Positions], side_px: int) -> Iterator[Tensor]:
        if epoch % 2:
            return self._real.epoch(epoch, chunks, side_px)
        return (self._ready[: len(chunk)] for chunk in chunks)


def validation(loader: PhotoLoader, records: Sequence[Record], preprocess: Preprocessing, group: Group) -> Validation:
    def inputs(chunks: Sequence[Positions]) -> Iterator[Tensor]:
        return plain_batches(loader, records, preprocess, chunks)

    return Validation(inputs, np.array([record.photo.label for record in records], np.int64), group)


def row_of(arch: str, what: str, config: Config, ours: list[float], theirs: list[float]) -> Row:
    """Images a second in each round, and the median of their ratios."""
    return {
        "network": arch,
        "what": what,
        "way": "compiled" if config.compiled else "eager",
        "batch": config.batch,
        "ours": ours,
        "against": theirs,
        "ratio": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
    }


def table_line(row: Row) -> str:
    ratios = [a / b for a, b in zip(row["ours"], row["against"], strict=True)]
    ours, theirs = statistics.median(row["ours"]), statistics.median(row["against"])
    return (
        f"| {row['network']} | {row['what']} | {row['way']} | {row['batch']} | {ours:,.0f} | {theirs:,.0f} | "
        f"{row['ratio']:.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
    )


if __name__ == "__main__":
    main()
