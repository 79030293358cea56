"""Parse the architecture names that users type: `NAME[:key=value,...]`, or the path of a JSON file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, TypeAlias

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import NAMED
from lungfish.architecture.foreign import FAMILIES_HERE, foreign_family
from lungfish.core.errors import ArchitectureError, UnknownNameError, UsageError
from lungfish.core.files import TooLargeError, read_at_most
from lungfish.core.names import choose, printable

MAX_FILE_BYTES = 1_000_000
KEYS = {"phi": float, "width": float, "depth": float, "resolution": int, "classes": int, "in_channels": int}


class HasArch(Protocol):
    """Anything built from an architecture, such as a `Network` or a `Backbone`."""

    @property
    def arch(self) -> Arch: ...


ArchLike: TypeAlias = Arch | str | Path | HasArch


def to_arch(network: ArchLike) -> Arch:
    """Return the architecture of a name, a file or a network.

    Args:
        network: A name (`mobilenet_v2:width=0.75`), the path of an architecture's JSON file, an `Arch`, or a network
            that was built from one.

    Raises:
        UnknownNameError: The network or a key is unknown; the hint lists close matches.
        ArchitectureError: A value is invalid, or the file does not describe an architecture.
        UsageError: `network` has another type, or the file cannot be read.

    Example:
        >>> import lungfish as lf
        >>> arch = lf.arch("mobilenet_v2:width=0.75,resolution=192")
        >>> lf.arch(lf.build(arch)) == arch
        True
    """
    if isinstance(network, Arch):
        return network
    if isinstance(network, str | Path):
        return parse_arch(str(network))
    arch = getattr(network, "arch", None)
    if isinstance(arch, Arch):
        return arch
    raise UsageError(
        f"a value of type {type(network).__name__} is not a network",
        "Pass a name such as 'mobilenet_v2', the path of an architecture's JSON file, an Arch, or a network.",
    )


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of the known architectures, in the order of the papers.

    Settings can be appended to each name: `mobilenet_v2:width=0.75,resolution=192`.

    Args:
        pattern: Shell pattern for the names: `*` matches any text, `?` a single character.

    Example:
        >>> import lungfish as lf
        >>> lf.list_models("mobilenet*")
        ['mobilenet_v1', 'mobilenet_v1_full', 'mobilenet_v2']
    """
    return [name for name in NAMED if fnmatchcase(name, pattern)]


def parse_arch(name: str) -> Arch:
    """Return the architecture of a name or file.

    Args:
        name: A known name with optional settings, which apply from left to right, such as `efficientnet_b0:phi=1.5`,
            `mobilenet_v2:in_channels=1` or `mobilenet_v2:width=0.75,resolution=192`; or a path that ends in `.json`.

    Raises:
        UnknownNameError: The network or a key is unknown; the hint lists close matches.
        ArchitectureError: A value is invalid, or the file does not describe an architecture.
        UsageError: The file cannot be read.
    """
    if name.endswith(".json"):
        return _read(Path(name))
    base, _, settings = name.partition(":")
    arch = NAMED[_base(base)]
    for option in filter(None, settings.split(",")):
        arch = _apply(arch, *_split(option))
    return arch


def _base(name: str) -> str:
    """Return `name` if it is known, else raise `UnknownNameError`, whose hint names an unsupported family."""
    try:
        return choose(name, NAMED, "architecture")
    except UnknownNameError as error:
        family = foreign_family(name)
        if not family:
            raise
        raise UnknownNameError(error.message, f"Lungfish does not build {family}. {FAMILIES_HERE}") from None


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
        case "classes":
            return arch.with_classes(int(value))
        case _:
            return arch.with_in_channels(int(value))


def _read(path: Path) -> Arch:
    try:
        return Arch.from_json(read_at_most(path, MAX_FILE_BYTES).decode())
    except TooLargeError:
        raise ArchitectureError(f"{printable(str(path))} is larger than the {MAX_FILE_BYTES:,} bytes allowed") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    raise UsageError(
        f"cannot read the architecture {printable(str(path))}: {reason}", "Pass a file that lungfish scale --out wrote."
    )
