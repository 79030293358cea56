"""Transfer learning on sets that differ: head, finetune, full and auto against timm's ten epochs, seed by seed.

Run: python benchmarks/transfer_sets.py [DATA] [--work DIR] [--only SET ...] [--kinds KIND ...] [--minutes N]
     [--minutes-left N]

Every figure is a row of transfer_sets.json beside this file, written as soon as it is measured; a row that is there is
not measured again, so the same command resumes. `--minutes-left` ends before a run that would not end in time. A job is
`lungfish train --minutes 10` with an empty cache (more minutes where fewer cores are free; the row says so); the
networks that its stages judge are also measured on the test photos, which shows how often the judged choice is the best
one. `peer` rows are timm's, one of each set, by transfer_peer.py. DATA holds `clothing-small`, `trashnet-small` and
`cifar10`. Needs the `bench` install.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sets import SETS, open_set

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

HERE = Path(__file__).parent
RECORD = HERE / "transfer_sets.json"
MINUTES = 10
KINDS = ("auto", "peer")
SEEDS = {
    "clothing": (0, 1, 2, 3, 4),
    "trashnet-0": (0,),
    "trashnet-1": (0,),
    "trashnet-2": (0,),
    "cifar-shift": (0, 1, 2),
}
ROWS = [(name, seed, "auto") for name in SETS for seed in SEEDS[name]] + [(name, 0, "peer") for name in SETS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "lungfish-sets")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--minutes-left", type=float, default=float("inf"))
    parser.add_argument("--job", nargs=3, metavar=("FOLDER", "SEED", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        folder, seed, out = options.job
        run_watched(Path(folder), int(seed), Path(out), options.minutes)
        return
    ends = time.monotonic() + 60 * options.minutes_left
    options.work.mkdir(parents=True, exist_ok=True)
    rows = json.loads(RECORD.read_text("utf-8")) if RECORD.is_file() else []
    done = {(row["set"], row["seed"], row["kind"]) for row in rows}
    for name, seed, kind in ROWS:
        if name not in options.only or kind not in options.kinds or (name, seed, kind) in done:
            continue
        usual_s = max([row["wall_s"] for row in rows if row["kind"] == kind], default=60 * options.minutes)
        if time.monotonic() + usual_s > ends:
            continue
        folder = open_set(name, options.data, options.work)
        if kind == "peer":
            measured = peer_row(folder, options.work)
        else:
            measured = job_row(folder, seed, options.work, options.minutes)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows.append({"set": name, "seed": seed, "kind": kind, "date": now} | measured)
        RECORD.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        print(name, seed, kind, json.dumps(measured), flush=True)
    print(table(rows))


def job_row(folder: Path, seed: int, work: Path, minutes: float) -> dict[str, Any]:
    """One job in a process of its own, its cache empty."""
    place = work / "job"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    command = [sys.executable, __file__, "--job", str(folder), str(seed), str(place)]
    command += ["--minutes", str(minutes)]
    began = time.perf_counter()
    subprocess.run(command, env=os.environ | {"LUNGFISH_CACHE": str(place / "cache")}, check=True)
    wall_s = time.perf_counter() - began
    row: dict[str, Any] = json.loads((place / "row.json").read_text("utf-8"))
    shutil.rmtree(place)
    return row | {"wall_s": wall_s - row["watching_s"]}


def peer_row(folder: Path, work: Path) -> dict[str, Any]:
    """Ten epochs of timm's."""
    out = work / "peer.json"
    subprocess.run([sys.executable, HERE / "transfer_peer.py", folder, "--out", out], check=True)
    record = json.loads(out.read_text("utf-8"))
    return {"test": record["test_top1_last"], "wall_s": record["wall_s"], "epochs": record["epochs"]}


def run_watched(folder: Path, seed: int, out: Path, minutes: float) -> None:
    """`lungfish train`, with every network that is judged measured on the test photos as well."""
    import torch

    import lungfish
    from lungfish.job.stages import attempt, judge
    from lungfish.job.stages.stage import TrainingContext
    from lungfish.runtime.cores import physical_cores
    from lungfish.runtime.measure import machine
    from lungfish.training.layers import from_pixels

    watched: dict[str, Any] = {"networks": [], "seconds": 0.0}

    class WatchingJudge(judge.Judge):
        def __init__(self, context: TrainingContext, *, few: bool) -> None:
            super().__init__(context, few=few)
            self._context = context

        def __call__(self, network: Network, start: Mapping[str, Tensor], *rest: Any) -> judge.Verdict:
            began, here = time.perf_counter(), judge.copied(network)
            if not watched["networks"]:
                network.load_state_dict(start)
                watched["networks"].append(self._top1(network))
                network.load_state_dict(here)
            watched["networks"].append(self._top1(network))
            watched["seconds"] += time.perf_counter() - began
            return super().__call__(network, start, *rest)

        def _top1(self, network: Network) -> float:
            dataset, rule = self._context.dataset, self._context.preprocess
            layers, right = from_pixels(network, self._context.preprocess).eval(), 0
            records = dataset.records("test")
            with torch.inference_mode():
                for first in range(0, len(records), 64):
                    some = records[first : first + 64]
                    pixels = np.stack([rule.pixels(rule.decode(dataset.read(each.photo))) for each in some])
                    answers = layers(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).argmax(dim=1).numpy()
                    right += int((answers == [each.photo.label for each in some]).sum())
            return right / len(records)

    attempt.Judge = WatchingJudge  # type: ignore[attr-defined]
    result = lungfish.train(folder, out / "bundle", minutes=minutes, seed=seed)
    candidates = [stage.to_json() for stage in result.candidates]
    for stage in candidates:
        del stage["settings"]
    row = {
        "counts": result.counts,
        "test": result.test.top1,
        "test_fp32": result.artifacts[0].top1,
        "judged": watched["networks"],
        "candidates": candidates,
        "seconds": result.seconds,
        "watching_s": watched["seconds"],
        "minutes": minutes,
        "cores": physical_cores(),
        "machine": machine(),
    }
    (out / "row.json").write_text(json.dumps(row), encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Mean test top-1 of each set: the head, each judged stage, what shipped, and the peer."""
    lines = [f"{'set':12} {'head':>6} {'stages':>20} {'auto':>6} {'n':>2} {'peer':>6} {'seconds':>8} {'peer s':>7}"]
    right = []
    for name in SETS:
        ours = [row for row in rows if row["set"] == name and row["kind"] == "auto"]
        peer = [row for row in rows if row["set"] == name and row["kind"] == "peer"]
        if not ours:
            continue
        median_s = np.median([row["wall_s"] for row in ours])
        heads = [row["judged"][0] for row in ours if row["judged"]]
        stages = [" ".join(f"{value:.3f}" for value in row["judged"][1:]) for row in ours]
        right += [row["test_fp32"] >= max(row["judged"]) - 0.005 for row in ours if row["judged"]]
        lines.append(
            f"{name:12} {np.mean(heads or np.nan):6.3f} {stages[0]:>20} {np.mean([row['test'] for row in ours]):6.3f} "
            f"{len(ours):2} {peer[0]['test'] if peer else np.nan:6.3f} {median_s:8.0f} "
            f"{peer[0]['wall_s'] if peer else np.nan:7.0f}"
        )
    return "\n".join(
        [*lines, f"the choice is within 0.5 points of the best judged network in {sum(right)} of {len(right)} jobs"]
    )


if __name__ == "__main__":
    main()
