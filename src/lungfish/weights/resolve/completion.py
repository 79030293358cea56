"""Complete an entry from its file: detect the library from the tensor names, and derive the rest from that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import ArchitectureError, BundleError, UsageError, WeightsError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_file, sha256_json
from lungfish.core.names import printable
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.convert.fit import check_network
from lungfish.weights.convert.recognition import count_classes, recognize
from lungfish.weights.entry import ANY_PX, WeightsEntry
from lungfish.weights.formats.checkpoint import KERAS, SAFETENSORS, read_checkpoint
from lungfish.weights.formats.safetensors import read_safetensors
from lungfish.weights.layouts import detect_source, find_source, usual_preprocessing
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.license import NOASSERTION
from lungfish.weights.scheme import FILE, NAME_IT
from lungfish.weights.store.store import Store

UNUSED_ARCH = "mobilenet_v1"  # `read_checkpoint` requires a network, but only the reader of Keras files uses it
_LICENSE = re.compile(r"[A-Za-z0-9.+-]{1,100}")
_GUESSED = ("flavour", "normalization", "crop_fraction", "interpolation")

HEADER_ERRORS = (KeyError, TypeError, ValueError, RecursionError, BundleError)  # what an untrusted header may raise

INCOMPLETE = WeightsEntry(  # values of an entry whose file has not been read yet, marked by the empty converter
    name="",
    arch="",
    converter="",
    location="",
    source="",
    license=NOASSERTION,
    license_source="not stated",
    url="",
    training_data="not stated",
    flavour=Flavour(),
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
    crop_fraction=0.875,
    interpolation="bicubic",
    paper="",
    unverified=_GUESSED,
)


def complete(entry: WeightsEntry, path: Path) -> WeightsEntry:
    """Complete an entry with an unknown converter from its file.

    A file written by `lungfish weights convert` states its network, flavour and preprocessing. For other files the
    network is the entry's or is recognized, and everything else has the values usual for the library that wrote them.

    Args:
        entry: Entry with an empty `converter`; `arch` may be empty.
        path: The file, or the prefix of a TensorFlow checkpoint.

    Raises:
        UsageError: The network is neither named nor recognized, or no library uses the tensor names.
        WeightsError: The file cannot be read, its header is invalid, or it belongs to a network other than the
            named one.
        MissingExtraError: The package that reads it is not installed.
    """
    if path.suffix in KERAS and not entry.arch:
        raise _unnamed(entry)
    state, header = _read(path, parse_arch(entry.arch or UNUSED_ARCH))
    if "architecture" in header:
        described = _with_header(entry, header, path)
        if entry.arch:
            check_network(entry.name, parse_arch(described.arch), parse_arch(entry.arch))
        return described
    source = _source(state, path)
    if source == OURS:
        flavour = _flavour(header, path.name) if "padding" in header else entry.flavour
        return replace(entry, arch=_named(entry, None), converter=OURS, flavour=flavour)
    name = _confirmed(entry, state, source) if entry.arch else _named(entry, recognize(state, source))
    arch, library = parse_arch(name), find_source(source)
    entry = replace(entry, arch=name, converter=source, flavour=library.flavour_of(arch))
    usual = usual_preprocessing(source, arch)
    return entry.with_preprocessing(usual) if usual else entry


def arch_name(arch: Arch) -> str:
    """Return a name that `parse_arch` reads back as an equal network: its own, or a JSON file written to the cache."""
    for name in (arch.name, f"{arch.name}{',' if ':' in arch.name else ':'}classes={arch.classes}"):
        try:
            if not name.endswith(".json") and parse_arch(name) == arch:
                return name
        except UsageError:
            continue
    value = arch.to_json()
    path = Store().folder / "architectures" / f"{sha256_json(value)[:16]}.json"
    write_atomic(path, json.dumps(value))
    return str(path)


def _read(path: Path, arch: Arch) -> tuple[Mapping[str, object], Mapping[str, str]]:
    """Return the tensors by name, and the metadata of safetensors."""
    return read_safetensors(path) if path.suffix in SAFETENSORS else (read_checkpoint(path, arch), {})


def _source(state: Mapping[str, object], path: Path) -> str:
    try:
        return detect_source(state)
    except UsageError as error:
        if "--source" not in error.hint:
            raise
        file = printable(path.name)
        hint = f"Convert it first: lungfish weights convert {file} --arch ARCH --source SOURCE; then use file:RESULT"
        raise UsageError(error.message, f"{error.hint} {hint}") from None


def _named(entry: WeightsEntry, recognized: str | None) -> str:
    name = entry.arch or recognized
    if name is None:
        raise _unnamed(entry)
    return name


def _confirmed(entry: WeightsEntry, state: Mapping[str, object], source: str) -> str:
    """Return the named network with the file's classes, after checking that the file belongs to it."""
    arch = parse_arch(entry.arch)
    classes = count_classes(state, source, arch)
    if not classes:
        recognized = recognize(state, source) or "a network that was not recognized"
        raise WeightsError(
            f"{printable(entry.name)} belongs to {recognized}, not to {printable(arch.name)}",
            "Check width and depth. For a scaled network, pass a JSON file: lungfish scale ARCH --out FILE.",
        )
    return entry.arch if classes == arch.classes else arch_name(arch.with_classes(classes))


def _unnamed(entry: WeightsEntry) -> UsageError:
    return UsageError(
        f"{printable(entry.name)} does not state its network",
        NAME_IT,
    )


def _with_header(entry: WeightsEntry, header: Mapping[str, str], path: Path) -> WeightsEntry:
    """Return the entry updated from an untrusted header."""
    file = path.name
    try:
        arch = Arch.from_json(header["architecture"])
        entry = replace(_licensed(entry, header, path), arch=arch_name(arch), converter=OURS)
        entry = replace(entry, flavour=_flavour(header, file))
        if "mean" not in header:
            return entry
        return replace(entry.with_preprocessing(header_preprocessing(header, ANY_PX)), unverified=())
    except (*HEADER_ERRORS, ArchitectureError) as error:
        raise _invalid_header(file, f"{type(error).__name__} {error}") from None
    except WeightsError as error:
        raise _invalid_header(file, error.message) from None


def header_preprocessing(header: Mapping[str, str], resolution_px: int) -> Preprocessing:
    """Read the preprocessing from a converted file's header, for a network of that resolution.

    Raises `HEADER_ERRORS` if it is invalid.
    """
    crop_fraction, interpolation = float(header["crop_fraction"]), header["interpolation"]
    return Preprocessing(
        resolution_px, crop_fraction, interpolation, _channels(header["mean"]), _channels(header["std"])
    )


def _channels(text: str) -> tuple[float, float, float]:
    red, green, blue = map(float, json.loads(text))
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise ValueError(f"{text} are not pixel values")
    return red, green, blue


def _licensed(entry: WeightsEntry, header: Mapping[str, str], path: Path) -> WeightsEntry:
    """Return the entry with the license and origin in a file's header, trusted only if this machine wrote it."""
    stated = header.get("license", "")
    if not entry.location.startswith(FILE) or not _LICENSE.fullmatch(stated):
        return entry
    if Store().stated_license(sha256_file(path)) != stated:
        return replace(entry, license_source=f"its header states {stated}, but it was not converted on this machine")
    origin = header.get("location") or header.get("file")
    source = f"converted from {printable(origin)}" if origin else entry.source
    return replace(entry, license=stated, license_source=f"header of {entry.name}", source=source)


def _flavour(header: Mapping[str, str], file: str) -> Flavour:
    try:
        return Flavour(header["padding"], float(header["bn_eps"]))  # type: ignore[arg-type]
    except (KeyError, ValueError, ArchitectureError) as error:
        raise _invalid_header(file, f"{type(error).__name__} {error}") from None


def _invalid_header(file: str, reason: str) -> WeightsError:
    return WeightsError(
        f"the header of {printable(file)} is invalid: {printable(reason)}", "Convert the weights again."
    )
