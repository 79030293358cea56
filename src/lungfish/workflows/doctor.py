"""Report what is installed, what works here, and how fast this machine is."""

from __future__ import annotations

import io
import os
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np
from PIL import Image

from lungfish.core.cache import MARKER, cache_home, cache_path, is_marked, standing_folder
from lungfish.core.errors import LungfishError, MachineError
from lungfish.core.extras import install_command, install_extra
from lungfish.core.names import printable
from lungfish.core.own_files import FORMS
from lungfish.core.space import cache_bytes, old_cache_bytes
from lungfish.runtime.decode import EXTRA_FORMATS, FORMATS, decode
from lungfish.runtime.engines.table import ENGINES
from lungfish.runtime.measure import machine
from lungfish.runtime.preprocessing import Preprocessing

LEAST_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True)
class Diagnosis:
    """The state of this installation.

    Args:
        python: Version of Python.
        packages: Version of each package that Lungfish can use; `None` if it is not installed.
        extras: For each extra, whether all its packages are installed.
        runtimes: Result of trying each engine: its devices, or why it fails.
        formats: Result of trying each picture format: whether it can be read.
        machine: CPU, cores, memory.
        speed: Milliseconds to decode and resize a 1,600 x 1,200 JPEG; billions of float32 operations per second.
        cache: Folder, bytes of our files in it, free bytes on its disk, why it cannot be used, whether Lungfish created
            it, and bytes that earlier versions left next to it.
        problems: What prevents predicting, in words.
        warnings: What may affect training or the cache, but not predicting, in words.
        ok: Whether there are no problems.
    """

    python: str
    packages: dict[str, str | None]
    extras: dict[str, bool]
    runtimes: dict[str, dict[str, Any]]
    formats: dict[str, bool]
    machine: dict[str, Any]
    speed: dict[str, float]
    cache: dict[str, Any]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    ok: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> Diagnosis:
    """Test everything that predicting and training require. Takes a few seconds."""
    required = _required()
    packages = {name: _version(name) for names in required.values() for name in names}
    engines = {row.package: _tried(row.devices, "not installed") for row in ENGINES.values()}
    torch = _tried(_torch_devices, f"not installed; needed to fine-tune: {install_extra('torch')}")
    formats = {name: _reads(name) for name in FORMATS + EXTRA_FORMATS}
    cache = _cache()
    problems = (
        *(f"{name} is not installed: {install_command(name)}" for name in required["base"] if not packages[name]),
        *(problem for name, tried in engines.items() for problem in _broken(name, tried, packages)),
        *(
            f"Pillow cannot read {name}: {install_command('--force-reinstall', 'pillow')}"
            for name in FORMATS
            if not formats[name]
        ),
    )
    warnings = (
        *_broken("torch", torch, packages),
        *([f"the cache cannot be used: {cache['why']}; set LUNGFISH_CACHE to another folder"] if cache["why"] else []),
        *_stray(cache),
    )
    here = machine()
    return Diagnosis(
        python=here["python"],
        packages=packages,
        extras={extra: all(packages[name] for name in names) for extra, names in required.items() if extra != "base"},
        runtimes=engines | {"torch": torch},
        formats=formats,
        machine=here,
        speed=_speed(),
        cache=cache,
        problems=problems,
        warnings=warnings,
        ok=not problems,
    )


def _required() -> dict[str, list[str]]:
    """Return the packages that the installation declares, by extra; `base` lists those that are always required."""
    required: dict[str, list[str]] = {"base": [], "train": [], "torch": [], "parquet": [], "heif": []}
    lines = metadata.requires("lungfish") if _version("lungfish") else None  # empty in a bare source tree
    for line in lines or []:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra == ['\"](\w+)['\"]", line)
        group = extra.group(1) if extra else "base"
        if name and group in required:
            required[group].append(name.group())
    return required


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _broken(name: str, tried: dict[str, Any], packages: dict[str, str | None]) -> list[str]:
    """Return why an installed engine does not work; empty if it works or is not installed."""
    return [f"{name} does not work: {tried['why']}"] if tried["why"] and packages.get(name) else []


def _tried(devices: Callable[[], list[str]], missing: str) -> dict[str, Any]:
    """Try a runtime and return its devices and why it failed; `missing` if it is not installed."""
    try:
        return {"devices": devices(), "why": ""}
    except ModuleNotFoundError:
        return {"devices": [], "why": missing}
    except Exception as error:  # noqa: BLE001  a broken installation may raise anything
        return {"devices": [], "why": printable(str(error))}


def _torch_devices() -> list[str]:
    import torch

    if float((torch.ones(2, 2) @ torch.ones(2, 2)).sum()) != 8.0:
        raise MachineError("it computes wrong values")
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def _reads(name: str) -> bool:
    """Return whether a picture in this format can be written and read as a photo."""
    try:
        if name == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        buffer = io.BytesIO()
        Image.new("RGB", (64, 48), (200, 100, 50)).save(buffer, name)
        return decode(buffer.getvalue()).size == (64, 48)
    except (ImportError, KeyError, OSError, ValueError, LungfishError):
        return False


def _cache() -> dict[str, Any]:
    folder = cache_path()
    standing = standing_folder()
    free = shutil.disk_usage(standing).free
    why = ""
    if not (standing.is_dir() and os.access(standing, os.W_OK)):
        why = f"{standing} is not writable"
    elif free < LEAST_FREE_BYTES:
        why = f"{free / 1e9:.1f} GB free, {LEAST_FREE_BYTES / 1e9:.0f} GB needed"
    return {
        "folder": str(folder),
        "bytes": cache_bytes(),
        "free_bytes": free,
        "why": why,
        "is_ours": is_marked() or not os.path.lexists(folder),
        "old_folder": str(cache_home()),
        "old_bytes": old_cache_bytes(),
    }


def _stray(cache: dict[str, Any]) -> Iterator[str]:
    """Yield advice about folders of the cache that Lungfish will never delete."""
    if not cache["is_ours"]:
        yield (
            f"{printable(cache['folder'])} has no {MARKER} written by Lungfish, so nothing in it is ever deleted: "
            "move it away, or set LUNGFISH_CACHE to another folder"
        )
    if cache["old_bytes"]:
        yield (
            f"{cache['old_bytes'] / 1e6:.1f} MB in {printable(cache['old_folder'])} were left by an earlier version of "
            f"Lungfish in the folders {', '.join(FORMS)}, and are no longer used: check them before you delete them"
        )


def _speed() -> dict[str, float]:
    noise = np.random.default_rng(0).integers(0, 256, (75, 100, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((1600, 1200)).save(buffer, "JPEG", quality=90)
    photo, preprocess = buffer.getvalue(), Preprocessing(224)
    decode_ms = _median_seconds(lambda: preprocess.pixels(preprocess.decode(photo)), 9) * 1e3
    side = 1024
    matrix = np.random.default_rng(0).standard_normal((side, side), np.float32)
    gflops = 2 * side**3 / _median_seconds(lambda: matrix @ matrix, 9) / 1e9
    return {"decode_resize_ms": round(decode_ms, 2), "matmul_gflops": round(gflops, 1)}


def _median_seconds(work: Callable[[], object], runs: int) -> float:
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
