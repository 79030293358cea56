"""Size and time of the installs: the base install, `train` and `torch`, and the packages that others need for the task.

Run: make dist, then python benchmarks/install.py. Prints a table, writes install.json beside itself.

Each is resolved by a current pip for the Python and machine that run this, ours with `constraints.txt`, from pip's
default index: folders of wheels and constraints that pip is configured for on this machine are ignored. The download is
the sum of the files in pip's report. The base install and `train` are also installed into empty environments, without
pip, from files that were downloaded before: the seconds include unpacking and compiling to bytecode, not the network.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from downloads import download_sizes
from lungfish.runtime.measure import machine

HERE = Path(__file__).parent
ROOT = HERE.parent
CONSTRAINTS = ("--constraint", str(ROOT / "constraints.txt"))
EXTRAS = {"lungfish": "", "lungfish[train]": "[train]", "lungfish[torch]": "[torch]"}
INSTALLED = ("lungfish", "lungfish[train]")
PEERS = {
    "timm": ("timm",),  # brings torch and torchvision
    "keras with TensorFlow": ("keras", "tensorflow"),
    "mediapipe-model-maker": ("mediapipe-model-maker",),
    "ultralytics": ("ultralytics",),
    "autogluon.multimodal": ("autogluon.multimodal",),
}
GOALS_MB = {"lungfish": 60, "lungfish[train]": 160}
DISK_GOALS_MB = {"lungfish[train]": 600}
ROUNDS = 3
TIMEOUT_S = 1200
LOCAL = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in LOCAL} | {"PIP_CONFIG_FILE": os.devnull}


def main() -> None:
    (wheel,) = (ROOT / "dist").glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pip = current_pip(work / "pip")
        rows = []
        for name, extra in EXTRAS.items():
            requirement = f"{wheel}{extra}"
            row = {"install": name, **download(pip, (requirement, *CONSTRAINTS), work / "report.json")}
            if name in INSTALLED:
                row |= install(pip, requirement, work)
            rows.append(row)
        rows += [{"install": name, **download(pip, peer, work / "report.json")} for name, peer in PEERS.items()]
        pip_version = run(*pip, "--version").stdout.split()[1]
    header: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
    header |= {"python": platform.python_version(), "pip": pip_version, "load_average": os.getloadavg()}
    (HERE / "install.json").write_text(json.dumps(header | {"rows": rows}, indent=2) + "\n", encoding="utf-8")
    print_table(rows)


def current_pip(folder: Path) -> list[str]:
    """Return the command of a current pip, which resolves without downloading wheels; older ones download each."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(str(python), "-m", "pip", "install", "--upgrade", "pip")
    return [str(python), "-m", "pip", "--disable-pip-version-check"]


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command for at most `TIMEOUT_S`, with what it prints captured."""
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=TIMEOUT_S, env=ENVIRONMENT)


def download(pip: list[str], requirements: tuple[str, ...], report: Path) -> dict[str, Any]:
    """Return packages, megabytes and the largest files of an install; or why pip finds no solution."""
    options = ("--dry-run", "--ignore-installed", "--quiet", "--use-feature=fast-deps", "--report", str(report))
    try:
        done = run(*pip, "install", *options, *requirements, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"pip found no solution in {TIMEOUT_S} s"}
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        return {"error": "; ".join(line.removeprefix("ERROR: ") for line in errors) or done.stderr.strip()}
    found = json.loads(report.read_text(encoding="utf-8"))
    versions = {item["metadata"]["name"]: item["metadata"]["version"] for item in found["install"]}
    sizes = download_sizes(found)
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:10]
    return {
        "packages": len(sizes),
        "download_mb": round(sum(sizes.values()) / 1e6, 1),
        "largest": {f"{name} {versions[name]}": round(sizes[name] / 1e6, 1) for name in largest},
    }


def install(pip: list[str], requirement: str, work: Path) -> dict[str, Any]:
    """Install into empty environments, from files; return the seconds, the size on disk, and the largest folders."""
    files = work / "files"
    run(*pip, "download", "--dest", str(files), requirement, *CONSTRAINTS)
    seconds = []
    for _ in range(ROUNDS):
        environment = work / "environment"
        venv.create(environment, clear=True, with_pip=False)
        options = ("--no-index", "--find-links", str(files), *CONSTRAINTS)
        began = time.perf_counter()
        run(*pip, "--python", str(environment), "install", *options, requirement)
        seconds.append(round(time.perf_counter() - began, 1))
    (packages,) = environment.rglob("site-packages")
    every = list(packages.rglob("*"))
    folders = {path.name: disk_mb([path, *path.rglob("*")]) for path in packages.iterdir()}
    largest = sorted(folders, key=folders.__getitem__, reverse=True)[:15]
    return {
        "install_s": seconds,
        "disk_mb": disk_mb(every),
        "bytecode_mb": disk_mb(path for path in every if path.suffix == ".pyc"),
        "tests_mb": disk_mb(path for path in every if "tests" in path.relative_to(packages).parts),
        "largest_folders_mb": {name: folders[name] for name in largest},
    }


def disk_mb(paths: Iterable[Path]) -> float:
    """Return the disk space of files and folders, without what the folders contain, as `du` counts it."""
    return round(sum(path.lstat().st_blocks * 512 for path in paths) / 1e6, 1)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print a Markdown table."""
    print("| install | packages | download | on disk | seconds | goal |\n|---|---|---|---|---|---|")
    for row in rows:
        name = row["install"]
        if "error" in row:
            print(f"| {name} | does not resolve: {row['error']} | | | | |")
            continue
        disk = f"{row['disk_mb']:.0f} MB" if "disk_mb" in row else ""
        seconds = f"{statistics.median(row['install_s']):.0f} s" if "install_s" in row else ""
        goals = [f"{GOALS_MB[name]} MB"] if name in GOALS_MB else []
        goals += [f"on disk {DISK_GOALS_MB[name]} MB"] if name in DISK_GOALS_MB else []
        print(
            f"| {name} | {row['packages']} | {row['download_mb']:,.0f} MB | {disk} | {seconds} | {', '.join(goals)} |"
        )


if __name__ == "__main__":
    main()
