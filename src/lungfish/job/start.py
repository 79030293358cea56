"""Choose the network and the weights that a job starts from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lungfish.architecture import Arch, Flavour, parse_arch
from lungfish.core.errors import ArchitectureError, WeightsError
from lungfish.core.names import plural, printable
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import local_file
from lungfish.weights.fitting import fitting_entries
from lungfish.weights.license import NOASSERTION
from lungfish.weights.resolve.names import resolve

DEFAULT_ARCH = "efficientnet_lite0"
AUTO = "auto"
SHOWN = 4


@dataclass(frozen=True)
class Start:
    """A network at the job's resolution, and the weights for it."""

    arch: Arch
    entry: WeightsEntry

    @property
    def preprocess(self) -> Preprocessing:
        """Preprocessing of the weights, at the network's resolution."""
        return self.entry.preprocessing(self.arch.resolution_px)


def choose_start(arch: str | None, weights: str | None) -> Start:
    """Return the network and weights that a command names.

    Args:
        arch: Name or JSON file of an architecture; None for that of the weights, or `DEFAULT_ARCH` without weights.
        weights: Name of a set of weights, or a scheme such as `hf:` or `file:`. `auto` or None for the cached weights
            that fit `arch`, with an accepted license and the best published top-1.

    Raises:
        UnknownNameError: One of the names is unknown.
        ArchitectureError: The network does not take photos.
        WeightsError: The weights belong to another network, or none for it are cached.
    """
    if weights is None or weights == AUTO:
        network = _of_photos(arch or DEFAULT_ARCH)
        return Start(network, _best_local(network, arch or DEFAULT_ARCH))
    entry = resolve(weights, arch)
    return Start(_of_photos(arch or entry.arch), entry)


def initial_start(arch: str | None) -> Start:
    """Return a network without weights.

    Args:
        arch: Name or JSON file of an architecture; `DEFAULT_ARCH` if None.

    Raises:
        UnknownNameError: The name is unknown.
        ArchitectureError: The network does not take photos.
    """
    network = _of_photos(arch or DEFAULT_ARCH)
    return Start(network, replace(INITIAL, arch=network.name))


INITIAL = WeightsEntry(
    name="random",
    arch="",
    converter="lungfish",
    location="",
    source="the authors' random initialization",
    license="CC0-1.0",
    license_source="random numbers need no license",
    url="",
    training_data="",
    flavour=Flavour(),
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
    crop_fraction=0.875,
    interpolation="bicubic",
    paper="",
)


UNKNOWN_START = "unknown"
UNKNOWN = replace(
    INITIAL,
    name=UNKNOWN_START,
    source="trained outside Lungfish; the weights it started from were not stated",
    license=NOASSERTION,
    license_source="was not stated when the network was exported",
)


def _of_photos(name: str) -> Arch:
    arch = parse_arch(name)
    if arch.in_channels != 3:
        raise ArchitectureError(
            f"{printable(arch.name)} takes {plural(arch.in_channels, 'channel')}; photos have 3",
            "Set in_channels to 3.",
        )
    return arch


def _best_local(arch: Arch, typed: str) -> WeightsEntry:
    fitting = fitting_entries(arch)
    if not fitting:
        raise WeightsError(
            f"no pretrained weights fit {printable(arch.name)}: none is known for its widths and depths",
            f"Train {DEFAULT_ARCH}, at any resolution: --arch {DEFAULT_ARCH}:resolution={arch.resolution_px}. "
            f"Or start from random weights: --recipe scratch --arch {printable(typed)}.",
        )
    cached = [entry for entry in fitting if local_file(entry)]
    if not cached:
        known = ", ".join(f"{entry.name} ({entry.license})" for entry in fitting[:SHOWN])
        more = f" and {len(fitting) - SHOWN} more" if len(fitting) > SHOWN else ""
        raise WeightsError(
            f"weights for {printable(arch.name)} are known, but none is on this machine: {known}{more}",
            f"Run: lungfish weights fetch {fitting[0].name}",
        )
    return max(cached, key=lambda entry: entry.top1 or 0)
