"""Runs of `lungfish train` killed at random moments and resumed: is what comes out that of a run that was left alone?

Run: nice python benchmarks/kill.py, about 20 minutes; prints a table, writes kill.json beside itself; exit code 1 if a
hash differs. 200 handwritten digits at 64 x 64; recipes `finetune`, and `full` with no worker and with two. A run
begins with an empty cache and is killed five times: as it fills that, in a step, as it writes a checkpoint, in a step,
and anywhere. It is stopped first (SIGSTOP), so that what it was at can be seen on the disk, then killed (SIGKILL), and
begun again with --resume. Checkpoints are written several times a second. The probe before it is made bad on purpose (a
huge penalty): epochs improve on it, so that their weights are what comes out.

A file is torn if it is not whole under its own name: a temporary file, or tensors whose notes are missing. What was
loaded of it would show in the hashes, and in the losses of each epoch, which are compared too.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from lungfish.core.hashing import sha256_file
from lungfish.runtime.measure import machine, versions
from lungfish.workflows.demo import write_digits

HERE = Path(__file__).parent
DIGITS_OF_EACH = 20
RUNS = 4  # of each recipe
ARCH = "efficientnet_lite0:resolution=64"
PHASES = ("before", "photos", "activations", "steps", "checkpoint", "after")
MOST_S = {"photos": 0.5, "activations": 0.4, "steps": 3.0, "checkpoint": 0.02}  # until the kill, once that has begun
SHARED = "few_photos = 0\ncross_validate_below = 0\ncalibration_photos = 16\npenalties = [1e6]\n"
FINETUNE = SHARED + "[finetune]\nviews = 4\nflips = false\nepochs = 6\nbatch = 16\nlearning_rate = 3e-4\n"
FULL = SHARED + "[full]\nflips = false\nepochs = 3\nbatch = 16\nlearning_rate = 1e-3\npolicy = 'trivial'\nmixup = 0.2\n"
RECIPES = {
    "finetune": FINETUNE,
    "full, no worker": FULL + "workers = 0\n",
    "full, 2 workers": FULL + "workers = 2\n",
}
MODEL_FILES = ("weights.safetensors", "model.onnx")
PRELUDE = """
from lungfish.cli.app import main
from lungfish.data.loading import activations as views
from lungfish.training import saving
saving.EVERY_S, saving.SHARE, views.FLUSH_EVERY_S = 0.15, 0.5, 0.05
main()
"""


def main() -> None:
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_photos(work / "digits")
        rows = {name: measure(name, recipe, work, chance) for name, recipe in RECIPES.items()}
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(("lungfish", "numpy", "onnxruntime", "safetensors", "torch")),
        "recipes": rows,
    }
    (HERE / "kill.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print_table(rows)
    if not all(row["same"] for row in rows.values()):
        raise SystemExit("a resumed run came to something else")


def write_photos(folder: Path) -> None:
    write_digits(folder)
    for label in folder.iterdir():
        for surplus in sorted(label.iterdir())[DIGITS_OF_EACH:]:
            surplus.unlink()


def measure(name: str, recipe: str, work: Path, chance: random.Random) -> dict[str, Any]:
    """One run that is left alone, and some that are killed."""
    path = work / "recipe.toml"
    path.write_text(recipe)
    alone = Run(work / "digits", path, work / name / "alone")
    began = time.monotonic()
    expected = alone.finish()
    seconds = time.monotonic() - began
    phases, torn, outcomes = Counter[str](), 0, []
    for number in range(RUNS):
        run = Run(work / "digits", path, work / name / str(number))
        for aim in ("activations" if "[finetune]" in recipe else "photos", "steps", "checkpoint", "steps", "anywhere"):
            while (killed := run.kill(aim, seconds, chance)) is None:
                pass  # it had ended before
            print(f"{name}: killed, {killed[0]}; {killed[1]} torn", file=sys.stderr, flush=True)
            phases[killed[0]] += 1
            torn += killed[1]
        outcomes.append(run.finish())
    return {
        "seconds_alone": round(seconds, 1),
        "kills": dict(phases),
        "torn": torn,
        "same": all(outcome == expected for outcome in outcomes),
        "alone": asdict(expected),
        "resumed": [asdict(outcome) for outcome in outcomes],
    }


@dataclass(frozen=True)
class Outcome:
    """What must be the same: SHA-256 of the model's files, and the losses of each epoch."""

    sha256: dict[str, str]
    losses: list[tuple[float, float]]


class Run:
    """A job with a cache of its own, in as many processes as it takes."""

    def __init__(self, photos: Path, recipe: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.cache, self.bundle, self.log_file = folder / "cache", folder / "bundle", folder / "log"
        options = ["--arch", ARCH, "--recipe", recipe, "--out", self.bundle, "--force", "--resume"]
        self.command = [sys.executable, "-c", PRELUDE, *map(str, ["train", photos, *options])]

    def start(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("wb") as log:
            environment = os.environ | {"LUNGFISH_CACHE": str(self.cache), "OMP_WAIT_POLICY": "PASSIVE"}
            return subprocess.Popen(self.command, env=environment, stdout=log, stderr=log)

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def finish(self) -> Outcome:
        if self.start().wait() or list(self.cache.glob("runs/*")):
            raise SystemExit(f"the run did not end well: {self.log}")
        rows = [json.loads(line) for line in (self.bundle / "training.jsonl").read_text("utf-8").splitlines()]
        hashes = {name: sha256_file(self.bundle / name) for name in MODEL_FILES}
        return Outcome(hashes, [(row["loss"], row["val_loss"]) for row in rows])

    def kill(self, aim: str, seconds: float, chance: random.Random) -> tuple[str, int] | None:
        """Go on with the run and kill it: what it was at, and how many torn files lie there; None if it ended first."""
        old, process = self.torn(), self.start()
        while aim not in ("anywhere", self.phase(old)) and process.poll() is None:
            time.sleep(0.002)
        try:
            process.wait(chance.uniform(0, MOST_S.get(aim, seconds / 2)))
        except subprocess.TimeoutExpired:
            workers = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            phase, torn = self.phase(old), self.torn()
            process.kill()
            process.wait()
            check_ended(workers)
            return phase, len(torn)
        if process.returncode:
            raise SystemExit(f"the run did not go on: {self.log}") from None
        return None

    def phase(self, old: set[Path]) -> str:
        """What the process is at.

        Args:
            old: torn files that earlier processes left.
        """
        log = self.log
        if "Exporting" in log:
            return "after"
        if re.search(r"^(finetune|full): [0-9,]+ to do", log, re.MULTILINE):
            return "checkpoint" if self.torn() - old else "steps"
        told = re.findall(r"^(photos|activations): [0-9,]+ (to do|in)", log, re.MULTILINE)
        return told[-1][0] if told and told[-1][1] == "to do" else "before"

    def torn(self) -> set[Path]:
        """Files of checkpoints that are not whole."""
        files = set(self.cache.glob("runs/*/*/*/*"))
        notes = {path.stem for path in files if path.suffix == ".json"}
        return {path for path in files if path.suffix == ".tmp" or (path.suffix != ".json" and path.stem not in notes)}


def check_ended(workers: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(workers, timeout=30)
    alive = [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]
    if alive:
        raise SystemExit(f"processes outlive the run: {alive}")


def print_table(rows: dict[str, Any]) -> None:
    print(f"{'recipe':18}" + "".join(f"{phase:>12}" for phase in PHASES) + f"{'torn':>6}{'same':>6}  weights, model")
    for name, row in rows.items():
        kills = "".join(f"{row['kills'].get(phase, 0):12}" for phase in PHASES)
        hashes = ", ".join(row["alone"]["sha256"][file][:12] for file in MODEL_FILES)
        print(f"{name:18}{kills}{row['torn']:6}{row['same']!s:>6}  {hashes}")


if __name__ == "__main__":
    main()
