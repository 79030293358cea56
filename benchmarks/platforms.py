"""Platforms and Pythons on which every package of an install has a wheel: no compiler is needed there.

Run: python benchmarks/platforms.py. Prints a table for each install, writes platforms.json beside itself.

uv resolves each install for each platform from wheels alone, and evaluates the environment markers of that platform
(pip's `--platform` evaluates those of this machine). The versions are those of `constraints.txt`; if that version of a
package has no wheel, the resolver chooses another one, and if no version that fits has a wheel, the package is named.
uv knows no 32-bit ARM: there, pip looks for wheels of each package that a 64-bit Raspberry Pi needs. Needs the `bench`
install, and takes half an hour.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
INSTALLS = ("base", "train", "torch")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ARM_64 = "Linux aarch64, glibc 2.28 or later"
ARM_32 = "Linux armv7l (Raspberry Pi OS, 32-bit)"
PLATFORMS = {  # as uv calls them
    "Linux x86-64, glibc 2.28 or later": "x86_64-manylinux_2_28",
    ARM_64: "aarch64-manylinux_2_28",
    "Linux x86-64, musl (Alpine)": "x86_64-unknown-linux-musl",
    "macOS 14 or later, arm64": "aarch64-apple-darwin",
    "macOS 14 or later, x86-64": "x86_64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
    "Windows arm64": "aarch64-pc-windows-msvc",
}
MACOS = "14.0"
ARM_32_TAGS = ("linux_armv7l", *(f"manylinux_2_{minor}_armv7l" for minor in range(17, 42)), "manylinux2014_armv7l")
NO_WHEEL = re.compile(r"\b([a-z0-9][a-z0-9-]*)(?:[=<>!~]\S*)?\s+ha(?:s|ve) no (?:usable )?wheels")
PIN = re.compile(r"^([\w.-]+)==(\S+)$", re.MULTILINE)
PROCESSES = 4


def main() -> None:
    tasks = list(product(INSTALLS, PLATFORMS, PYTHONS))
    with ThreadPoolExecutor(PROCESSES) as pool:
        cells = list(pool.map(lambda task: resolve(*task), tasks))
        by_python = {cell["python"]: cell for cell in cells if (cell["install"], cell["platform"]) == ("train", ARM_64)}
        names = {python: sorted(cell["packages"]) for python, cell in by_python.items()}
        lacking = {python: lacking_wheels(python, names[python], pool) for python in PYTHONS}
    base = {cell["python"]: set(cell["packages"]) for cell in cells if cell["install"] == "base"}
    for install, python in product(("base", "train"), PYTHONS):
        missing = [name for name in lacking[python] if install == "train" or name in base[python]]
        cells.append({"install": install, "platform": ARM_32, "python": python, "missing": missing, "replaced": {}})
    for cell in cells:
        packages = cell.pop("packages", {})
        if not cell["missing"]:
            cell["packages"] = len(packages)
    header = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "uv": version("uv"), "pip": version("pip")}
    (HERE / "platforms.json").write_text(json.dumps(header | {"cells": cells}, indent=2) + "\n", encoding="utf-8")
    print_tables(cells)


def resolve(install: str, platform: str, python: str) -> dict[str, Any]:
    """Resolve an install, without the pins and then without the packages that have no wheel, until it succeeds.

    Returns:
        `packages`, version by name; `replaced`, the versions of packages whose tested version has no wheel; `missing`,
            the packages of which no version that fits has one.
    """
    pins = pinned_versions()
    replaced: list[str] = []
    missing: list[str] = []
    while True:
        done = run_uv(install, PLATFORMS[platform], python, pins, missing)
        if done.returncode == 0:
            break
        found = NO_WHEEL.search(" ".join(done.stderr.split()))
        if found is None or found[1] in missing:
            raise RuntimeError(f"{install} on {platform}, Python {python}: {done.stderr}")
        if pins.pop(found[1], None):
            replaced.append(found[1])
        else:
            missing.append(found[1])
    packages = dict(PIN.findall(done.stdout))
    return {
        "install": install,
        "platform": platform,
        "python": python,
        "packages": packages,
        "replaced": {name: packages[name] for name in replaced if name in packages},
        "missing": missing,
    }


def pinned_versions() -> dict[str, str]:
    """Return the versions of `constraints.txt` by normalized name."""
    pins = PIN.findall((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    return {re.sub(r"[-_.]+", "-", name).lower(): pinned for name, pinned in pins}


def run_uv(
    install: str, platform: str, python: str, pins: dict[str, str], left_out: list[str]
) -> subprocess.CompletedProcess[str]:
    """Run uv's resolver on `pyproject.toml`."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, overrides = Path(folder, "constraints.txt"), Path(folder, "overrides.txt")
        constraints.write_text("".join(f"{name}=={pinned}\n" for name, pinned in pins.items()))
        overrides.write_text("".join(f"{name}; python_version < '0'\n" for name in left_out))
        command = [sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--quiet", "--no-header"]
        command += ["--no-annotate", "--only-binary", ":all:", "--python-platform", platform]
        command += ["--python-version", python, "--constraints", str(constraints), "--overrides", str(overrides)]
        command += ["--extra", install] if install != "base" else []
        environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": MACOS}
        return subprocess.run(
            [*command, str(ROOT / "pyproject.toml")], capture_output=True, text=True, check=False, env=environment
        )


def lacking_wheels(python: str, names: list[str], pool: ThreadPoolExecutor) -> list[str]:
    """Return the packages of which no version has a wheel for 32-bit ARM."""
    has_wheel = pool.map(lambda name: has_arm_32_wheel(python, name), names)
    return [name for name, found in zip(names, has_wheel, strict=True) if not found]


def has_arm_32_wheel(python: str, name: str) -> bool:
    command = [sys.executable, "-m", "pip", "index", "versions", "--only-binary", ":all:", "--python-version", python]
    command += [f"--platform={tag}" for tag in ARM_32_TAGS]
    done = subprocess.run([*command, name], capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution found" not in done.stderr:
        raise RuntimeError(done.stderr)
    return done.returncode == 0


def print_tables(cells: list[dict[str, Any]]) -> None:
    """Print a Markdown table of platforms and Pythons for each install."""
    for install in INSTALLS:
        print(f"\n{install}\n\n| | {' | '.join(PYTHONS)} |\n|---|{'---|' * len(PYTHONS)}")
        rows: dict[str, list[str]] = {}
        for cell in cells:
            if cell["install"] == install:
                rows.setdefault(cell["platform"], []).append(verdict(cell))
        for platform, verdicts in rows.items():
            print(f"| {platform} | {' | '.join(verdicts)} |")


def verdict(cell: dict[str, Any]) -> str:
    if cell["missing"]:
        return f"no: {', '.join(cell['missing'])}"
    replaced = [f"{name} {pinned}" for name, pinned in cell["replaced"].items()]
    return f"with {', '.join(replaced)}" if replaced else "yes"


if __name__ == "__main__":
    main()
