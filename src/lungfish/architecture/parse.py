"""Parse the architecture names that users type: `NAME[:key=value,...]`, or the path of a JSON file."""

from __future__ import annotations

from pathlib import Path

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.core.errors import ArchitectureError, UsageError
from lungfish.core.files import TooLargeError, read_at_most
from lungfish.core.names import choose, printable

MAX_FILE_BYTES = 1_000_000
KEYS = {"phi": float, "width": float, "depth": float, "resolution": int, "classes": int}


def parse_arch(name: str) -> Arch:
    """Return the architecture of a name or file.

    Args:
        name: A known name with optional settings, which apply from left to right, such as `efficientnet_b0:phi=1.5` or
            `mobilenet_v2:width=0.75,resolution=192`; or a path that ends in `.json`.

    Raises:
        UnknownNameError: The network or a key is unknown; the hint lists close matches.
        ArchitectureError: A value gives no valid network, or the file contains none.
        UsageError: The file cannot be read.

    Example:
        >>> lungfish.arch("mobilenet_v2:width=0.75,resolution=192").resolution_px
        192
    """
    if name.endswith(".json"):
        return _read(Path(name))
    base, _, settings = name.partition(":")
    arch = NAMED[choose(base, NAMED, "architecture")]
    for option in filter(None, settings.split(",")):
        arch = _apply(arch, *_split(option))
    return arch


def _split(option: str) -> tuple[str, float]:
    key, _, value = option.partition("=")
    kind = KEYS[choose(key.strip(), KEYS, "architecture setting")]
    try:
        return key.strip(), kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ArchitectureError(f"{key} is {printable(value)!r}; it must be {what}", f"For example {key}=1.") from None


def _apply(arch: Arch, key: str, value: float) -> Arch:
    match key:
        case "phi":
            return arch.scale(phi=value)
        case "width":
            return arch.scale(width=value)
        case "depth":
            return arch.scale(depth=value)
        case "resolution":
            return arch.scale(resolution=int(value))
        case _:
            return arch.with_classes(int(value))


def _read(path: Path) -> Arch:
    try:
        return Arch.from_json(read_at_most(path, MAX_FILE_BYTES).decode())
    except TooLargeError:
        raise ArchitectureError(f"{printable(str(path))} is larger than the {MAX_FILE_BYTES:,} bytes allowed") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    raise UsageError(f"cannot read the architecture {printable(str(path))}: {reason}", "Pass a file that scale wrote.")
