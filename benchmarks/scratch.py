"""The reason for transfer learning, measured: accuracy against minutes, from pretrained weights and from none.

Run: nice python benchmarks/scratch.py [PHOTOS] [--minutes 12], about two and a half times the minutes and ten more, on
two quiet cores. Each way to train is one `lungfish train` with an empty cache. Writes scratch.json beside itself, and
the page docs/learn/scratch-against-transfer.md with its picture: the words are in scratch_page.md, the figures are what
the page's own code prints. PHOTOS is `clothing-small` by default. Without weights the photos are seen at 128 pixels
instead of 224, so that the minutes are enough for three times the epochs. Needs the `bench` install.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lungfish.pictures import Curve
from lungfish.runtime.measure import machine, versions
from transfer import job

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "learn" / "scratch-against-transfer.md"
ARCH = "efficientnet_lite0"
SCRATCH_ARCH = f"{ARCH}:resolution=128"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = HERE.parents[1] / "shared" / "data" / "clothing-small"
    arguments.add_argument("photos", nargs="?", type=Path, default=default)
    arguments.add_argument("--minutes", type=float, default=12.0, help="for full and for scratch, each")
    asked = arguments.parse_args()
    limit = ("--minutes", asked.minutes)
    ways: dict[str, tuple[object, ...]] = {
        "probe": ("--arch", ARCH, "--recipe", "probe"),
        "finetune": ("--arch", ARCH, "--recipe", "finetune"),
        "full": ("--arch", ARCH, "--recipe", "full", *limit),
        "scratch": ("--arch", SCRATCH_ARCH, "--recipe", "scratch", *limit),
    }
    with tempfile.TemporaryDirectory() as work:
        jobs = {name: job(asked.photos, Path(work) / name, *options) for name, options in ways.items()}
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(("lungfish", "onnxruntime", "pillow", "torch", "torchvision")),
        "photos": jobs["probe"]["counts"],
        "options": ways,
        "steps": {name: done["candidates"] for name, done in jobs.items()},
        "curves": [asdict(curve_of(name, done)) for name, done in jobs.items()],
    }
    (HERE / "scratch.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    page, files = run_page((HERE / "scratch_page.md").read_text(encoding="utf-8"))
    for name, text in {PAGE.name: page, **files}.items():
        (PAGE.parent / name).write_text(text, encoding="utf-8")
    print(page)


def curve_of(name: str, done: dict[str, Any]) -> Curve:
    """A job's curve. What it does between epochs, and once after the last one, counts as done before the first."""
    seconds, epochs = done["seconds"], done["epochs"]
    probed_s = done["wall_s"] - seconds["total"] + seconds["photos_and_features"] + seconds["head"]
    probe = [(probed_s, done["candidates"][0]["val"]["top1"])] if done["candidates"][0]["recipe"] == "probe" else []
    now_s = probed_s + seconds["training"] - sum(row["seconds"] for row in epochs)
    after_epochs = []
    for row in epochs:
        now_s += row["seconds"]
        after_epochs.append((now_s, row["val_top1"]))
    points = [(time_s / 60, top1) for time_s, top1 in probe + after_epochs]
    return Curve(name, points, done["wall_s"] / 60, done["val"]["top1"], done["test"]["top1"])


def run_page(page: str) -> tuple[str, dict[str, str]]:
    """The page with what each of its blocks prints below it, and the files that they write, by name."""

    def with_output(block: re.Match[str]) -> str:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block[1], "page", "exec"), {})
        return f"{block[0]}\n\n```text\n{out.getvalue()}```"

    with tempfile.TemporaryDirectory() as work:
        benchmarks = Path(work) / HERE.name
        benchmarks.mkdir()
        (benchmarks / "scratch.json").write_bytes((HERE / "scratch.json").read_bytes())
        with contextlib.chdir(work):
            filled = PYTHON.sub(with_output, page)
        return filled, {path.name: path.read_text(encoding="utf-8") for path in Path(work).glob("*.svg")}


if __name__ == "__main__":
    main()
