"""Find the catalogued weights that fit a network, and choose among them if none are named."""

from __future__ import annotations

from lungfish.architecture import Arch, parse_arch
from lungfish.core.errors import WeightsError
from lungfish.core.names import printable
from lungfish.weights.catalogue import catalogue
from lungfish.weights.convert.fit import same_layers
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import local_file
from lungfish.weights.license import is_permissive

RGB = 3  # input channels of all catalogued weights


def fitting_entries(arch: Arch) -> list[WeightsEntry]:
    """Return the weights that fit `arch` at any resolution and number of classes.

    Permissive licenses come first, then higher published top-1.
    """
    fitting = [entry for entry in catalogue().values() if same_layers(arch, parse_arch(entry.arch))]
    return sorted(fitting, key=lambda entry: (not is_permissive(entry.license), -(entry.top1 or 0)))


def default_entry(arch: Arch) -> WeightsEntry:
    """Return the weights that `pretrained=True` stands for: the best on this machine, else the best permissive ones.

    Args:
        arch: Network, at any resolution, number of classes and number of input channels.

    Raises:
        WeightsError: No catalogued weights fit.
    """
    fitting = fitting_entries(arch.with_in_channels(RGB))
    if not fitting:
        raise WeightsError(
            f"no pretrained weights are known for {printable(arch.name)}",
            "lungfish.list_weights() lists the known weights. Use weights='file:PATH' for your own file.",
        )
    on_this_machine = [entry for entry in fitting if local_file(entry)]
    return max(on_this_machine, key=lambda entry: entry.top1 or 0) if on_this_machine else fitting[0]
