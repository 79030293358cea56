"""Architecture names as people type them: `NAME[:key=value,...]`, or the path of an architecture's JSON file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.core.errors import ArchitectureError, UsageError
from lungfish.core.names import choose, printable

MAX_FILE_BYTES = 1_000_000
KEYS = {  # key: field of Arch, type
    "width": ("width", float),
    "depth": ("depth", float),
    "resolution": ("resolution_px", int),
    "classes": ("classes", int),
}


def parse_arch(name: str) -> Arch:
    """The architecture that `name` stands for.

    Args:
        name: a known name with optional settings, as `efficientnet_lite0:width=0.5,resolution=160`, or a path that
            ends in `.json`.

    Raises:
        UnknownNameError: no such network or key; the hint holds close matches.
        ArchitectureError: a value that makes no network, or a file that holds none.
    """
    if name.endswith(".json"):
        return _read(Path(name))
    base, _, settings = name.partition(":")
    arch = NAMED[choose(base, NAMED, "architecture")]
    changes = dict(_setting(text) for text in settings.split(",") if text)
    return replace(arch, name=name, **changes)


def _setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    field, kind = KEYS[choose(key.strip(), KEYS, "architecture setting")]
    try:
        return field, kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ArchitectureError(f"{key} is {printable(value)!r}; it must be {what}", f"For example {key}=1.") from None


def _read(path: Path) -> Arch:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ArchitectureError(f"{path} is larger than the {MAX_FILE_BYTES:,} bytes allowed")
        return Arch.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the architecture {path}: {error}") from None
