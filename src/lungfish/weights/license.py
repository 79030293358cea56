"""The license gate: weights under a permissive license pass, for others a person must say that the terms are met."""

from __future__ import annotations

import shlex
from pathlib import Path

from lungfish.core.errors import LicenseError
from lungfish.core.names import printable
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.scheme import FILE

NOASSERTION = "NOASSERTION"  # SPDX for: nobody says

# Use, change and sale are allowed, and nothing is asked but notices, which every bundle carries in its NOTICE.
# CC-BY-4.0 asks for credit and a note of changes: both are in NOTICE. No license that binds derived works is here.
PERMISSIVE = frozenset(
    ("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unlicense")
)
_FOLDED = frozenset(identifier.casefold() for identifier in PERMISSIVE)


def is_permissive(license_id: str) -> bool:
    """Whether the gate lets an SPDX identifier pass; upper and lower case are the same, as in SPDX."""
    return license_id.casefold() in _FOLDED


def check_license(entry: WeightsEntry, accepted: str | None) -> str:
    """The gate before weights are fetched or used.

    Args:
        entry: the weights.
        accepted: the identifier that a person accepts: `--accept-license ID`.

    Returns:
        Empty if the license is permissive, else the accepted identifier, to be recorded.

    Raises:
        LicenseError: the license is another or unknown, and was not accepted.
    """
    if is_permissive(entry.license):
        return ""
    if accepted and accepted.casefold() == entry.license.casefold():
        return entry.license
    name, license_id = printable(entry.name), printable(entry.license)
    if entry.license == NOASSERTION:
        problem = f"nobody says under which license the weights {name} are"
    else:
        problem = f"the weights {name} are under {license_id}, which is not a permissive license"
    wrong = f" You accepted {printable(accepted)}, which is another." if accepted else ""
    raise LicenseError(
        f"{problem}.{wrong} Source: {printable(entry.license_source)}. {_code(entry)}"
        f"Trained on: {printable(entry.training_data)}.",
        f"{f'Read {printable(entry.url)} and decide' if entry.url else 'Decide'} whether your use is allowed. "
        f"If it is: lungfish weights fetch {_typed(entry)} --accept-license {license_id}",
    )


def _typed(entry: WeightsEntry) -> str:
    """What brings about the entry again, for a shell: of a file its place, for names hold no folders."""
    place = entry.location.removeprefix(FILE)
    if entry.name.startswith("bundle:"):
        name = str(Path(place).parent)
    else:
        name = entry.location if entry.location.startswith(FILE) else entry.name
    arch = f" --arch {shlex.quote(entry.arch)}" if not entry.converter and entry.arch else ""
    return printable(shlex.quote(name)) + arch


def _code(entry: WeightsEntry) -> str:
    return f"The code they came with: {printable(entry.code_license)}. " if entry.code_license else ""
