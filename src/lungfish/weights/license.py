"""Check licenses: permissive ones pass; all others must be accepted by the user."""

from __future__ import annotations

import shlex
from pathlib import Path

from lungfish.core.errors import LicenseError
from lungfish.core.names import printable
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.scheme import FILE

NOASSERTION = "NOASSERTION"  # SPDX: no license is stated

# Licenses that allow use, modification and sale, and require no more than notices, which every bundle has in NOTICE.
# CC-BY-4.0 requires credit and a note of changes; both are in NOTICE. Copyleft licenses are not listed.
PERMISSIVE = frozenset(
    ("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT", "MIT-0", "Unlicense")
)
_FOLDED = frozenset(identifier.casefold() for identifier in PERMISSIVE)


def is_permissive(license_id: str) -> bool:
    """Return whether an SPDX identifier is permissive. Case does not matter, as in SPDX."""
    return license_id.casefold() in _FOLDED


def check_license(entry: WeightsEntry, accepted: str | None) -> str:
    """Check the license of weights before they are fetched or used.

    Args:
        entry: The weights.
        accepted: License identifier that the user accepts (`--accept-license ID`), or None.

    Returns:
        An empty string if the license is permissive, else the accepted identifier, which belongs in the record.

    Raises:
        LicenseError: The license is not permissive or not known, and was not accepted.
    """
    if is_permissive(entry.license):
        return ""
    if accepted and accepted.casefold() == entry.license.casefold():
        return entry.license
    name, license_id = printable(entry.name), printable(entry.license)
    if entry.license == NOASSERTION:
        problem = f"no license is stated for the weights {name}"
    else:
        problem = f"the weights {name} are under {license_id}, which is not a permissive license"
    wrong = f" You accepted {printable(accepted)}, a different license." if accepted else ""
    raise LicenseError(
        f"{problem}.{wrong} Source: {printable(entry.license_source)}. {_code_license(entry)}"
        f"Trained on: {printable(entry.training_data)}.",
        f"{f'Read {printable(entry.url)} and decide' if entry.url else 'Decide'} whether you may use them. "
        f"If so, run: lungfish weights fetch {_shell_name(entry)} --accept-license {license_id}",
    )


def _shell_name(entry: WeightsEntry) -> str:
    """Return shell arguments that name the entry: for a file its path, because the entry's name omits the folder."""
    place = entry.location.removeprefix(FILE)
    if entry.name.startswith("bundle:"):
        name = str(Path(place).parent)
    else:
        name = entry.location if entry.location.startswith(FILE) else entry.name
    arch = f" --arch {shlex.quote(entry.arch)}" if not entry.converter and entry.arch else ""
    return printable(shlex.quote(name)) + arch


def _code_license(entry: WeightsEntry) -> str:
    return f"The code they came with is under {printable(entry.code_license)}. " if entry.code_license else ""
