"""What only its file tells of a set of weights: whose names its tensors have, and what follows from that."""

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

NEVER_ASKED = "mobilenet_v1"  # readers take a network, but only Keras's need it
_LICENSE = re.compile(r"[A-Za-z0-9.+-]{1,100}")
_GUESSED = ("flavour", "normalization", "crop_fraction", "interpolation")

SENSELESS = (KeyError, TypeError, ValueError, RecursionError, BundleError)  # what a stranger's header may raise

INCOMPLETE = WeightsEntry(  # what stands in an entry until its file is at hand; an empty converter says so
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
    """Complete an entry whose converter is not known from its file.

    A file that `lungfish weights convert` wrote tells its network, flavour and preprocessing itself. For others the
    network is the entry's, or recognized; the rest is what is usual for the library that wrote it.

    Args:
        entry: `arch` may be empty, `converter` is.
        path: the file, or the prefix of a TensorFlow checkpoint.

    Raises:
        UsageError: the network is not named and not recognized, or the tensors have nobody's names.
        WeightsError: the file cannot be read, its header makes no sense, or it is of another network than was named.
        MissingExtraError: the package that reads it is not installed.
    """
    if path.suffix in KERAS and not entry.arch:
        raise _unnamed(entry)
    state, header = _read(path, parse_arch(entry.arch or NEVER_ASKED))
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
    """A name that `parse_arch` reads back to an equal network: its own, or a JSON file in the cache."""
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
    """Tensors by name, and the header of safetensors."""
    return read_safetensors(path) if path.suffix in SAFETENSORS else (read_checkpoint(path, arch), {})


def _source(state: Mapping[str, object], path: Path) -> str:
    try:
        return detect_source(state)
    except UsageError as error:
        if "--source" not in error.hint:
            raise
        file = printable(path.name)
        hint = (
            f"Convert it first: lungfish weights convert {file} --arch ARCH --source SOURCE; then give file:ITS-RESULT"
        )
        raise UsageError(error.message, f"{error.hint} {hint}") from None


def _named(entry: WeightsEntry, recognized: str | None) -> str:
    name = entry.arch or recognized
    if name is None:
        raise _unnamed(entry)
    return name


def _confirmed(entry: WeightsEntry, state: Mapping[str, object], source: str) -> str:
    """The network that was named, with the classes of the file; in no ledger stands one that the file is not of."""
    arch = parse_arch(entry.arch)
    classes = count_classes(state, source, arch)
    if not classes:
        recognized = recognize(state, source) or "a network that was not recognized"
        raise WeightsError(
            f"{printable(entry.name)} is of {recognized}, not of {printable(arch.name)}",
            "Are width and depth right? A scaled network can be given as a JSON file: lungfish scale ARCH --out FILE.",
        )
    return entry.arch if classes == arch.classes else arch_name(arch.with_classes(classes))


def _unnamed(entry: WeightsEntry) -> UsageError:
    return UsageError(
        f"{printable(entry.name)} does not say which network it holds",
        NAME_IT,
    )


def _with_header(entry: WeightsEntry, header: Mapping[str, str], path: Path) -> WeightsEntry:
    """What the header says, which may come from anyone."""
    file = path.name
    try:
        arch = Arch.from_json(header["architecture"])
        entry = replace(_licensed(entry, header, path), arch=arch_name(arch), converter=OURS)
        entry = replace(entry, flavour=_flavour(header, file))
        if "mean" not in header:
            return entry
        return replace(entry.with_preprocessing(header_preprocessing(header, ANY_PX)), unverified=())
    except (*SENSELESS, ArchitectureError) as error:
        raise _senseless(file, f"{type(error).__name__} {error}") from None
    except WeightsError as error:
        raise _senseless(file, error.message) from None


def header_preprocessing(header: Mapping[str, str], resolution_px: int) -> Preprocessing:
    """Read the preprocessing of a converted file's header, for a network of that resolution. Raises `SENSELESS`."""
    crop_fraction, interpolation = float(header["crop_fraction"]), header["interpolation"]
    return Preprocessing(
        resolution_px, crop_fraction, interpolation, _channels(header["mean"]), _channels(header["std"])
    )


def _channels(text: str) -> tuple[float, float, float]:
    red, green, blue = map(float, json.loads(text))
    if not all(0 <= each <= 255 for each in (red, green, blue)):
        raise ValueError(f"{text} are no pixels")
    return red, green, blue


def _licensed(entry: WeightsEntry, header: Mapping[str, str], path: Path) -> WeightsEntry:
    """With the header's license and origin if this machine wrote that header: a stranger's opens no gate."""
    stated = header.get("license", "")
    if not entry.location.startswith(FILE) or not _LICENSE.fullmatch(stated):
        return entry
    if Store().stated_license(sha256_file(path)) != stated:
        return replace(entry, license_source=f"its header says {stated}, but it was not converted on this machine")
    origin = header.get("location") or header.get("file")
    source = f"converted from {printable(origin)}" if origin else entry.source
    return replace(entry, license=stated, license_source=f"header of {entry.name}", source=source)


def _flavour(header: Mapping[str, str], file: str) -> Flavour:
    try:
        return Flavour(header["padding"], float(header["bn_eps"]))  # type: ignore[arg-type]
    except (KeyError, ValueError, ArchitectureError) as error:
        raise _senseless(file, f"{type(error).__name__} {error}") from None


def _senseless(file: str, reason: str) -> WeightsError:
    return WeightsError(
        f"the header of {printable(file)} makes no sense: {printable(reason)}", "Convert the weights again."
    )
