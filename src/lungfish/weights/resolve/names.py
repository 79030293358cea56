"""What a name of weights stands for, whichever of the forms it has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from lungfish.architecture import parse_arch
from lungfish.core.errors import UnknownNameError, UsageError, WeightsError
from lungfish.core.names import printable
from lungfish.core.request import is_offline
from lungfish.weights.catalogue import catalogue, find_entry
from lungfish.weights.convert.fit import check_network
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.resolve.completion import INCOMPLETE
from lungfish.weights.resolve.hub import catalogued, hub_entry
from lungfish.weights.resolve.local import bundle_entry, file_entry
from lungfish.weights.resolve.published import find_published
from lungfish.weights.scheme import FORMS, NAME_IT, PUBLISHERS, parse_git, parse_hub, split_scheme
from lungfish.weights.store.store import Store


def resolve(name: str, arch: str | None = None, *, offline: bool = False) -> WeightsEntry:
    """The set of weights that a typed name stands for.

    What was fetched once stays what it was: the ledger answers for the hub and for git.

    Args:
        name: `ARCH.TAG` of the catalogue, `timm:...`, `torchvision:...`, `keras:...`,
            `hf:OWNER/REPO[@REVISION][/FILE]`, `git+https://HOST/OWNER/REPO@COMMIT#PATH`, `file:PATH`, `tf:PREFIX`,
            or the folder of a bundle.
        arch: name of the network, for what does not say it itself; what does must be of it, save the classifier.
        offline: ask nobody.

    Returns:
        The entry. Its `converter` is empty if only the file tells it: see `complete`.

    Raises:
        UnknownNameError: nothing has that name; the hint holds close matches.
        UsageError: an unknown scheme, a name that its scheme does not allow, or a network that must be named.
        BundleError: the folder is no bundle.
        WeightsError: a file that cannot be read; weights of another network than `arch`; offline, a set that was never
            fetched.
        DownloadError: the hub cannot be asked.
        MissingExtraError: a package that is needed is not installed.
    """
    entry = _entry(name, arch, offline=offline)
    if arch is not None:
        check_network(name, parse_arch(entry.arch), parse_arch(arch))
    return entry


def _entry(name: str, arch: str | None, *, offline: bool) -> WeightsEntry:
    if name in catalogue():
        return find_entry(name)
    scheme = split_scheme(name)[0]
    if scheme in PUBLISHERS:
        return find_published(name)
    if scheme in ("file", "tf"):
        return file_entry(name, arch)
    if scheme == "hf":
        return catalogued(parse_hub(name)) or _fetched(name, offline=offline) or hub_entry(name, arch)
    if scheme.startswith("git+"):
        return _fetched(name, offline=offline) or _git_entry(name, arch)
    if scheme:
        raise UsageError(f"{printable(name)!r} begins with no scheme of weights", f"Allowed: {FORMS}.")
    return _without_scheme(name)


def _fetched(name: str, *, offline: bool) -> WeightsEntry | None:
    """The entry of what the ledger knows by that name."""
    record = Store().record(name)
    if record is None and (offline or is_offline()):
        raise WeightsError(
            f"{printable(name)} was not fetched yet, and nobody may be asked",
            "Leave out --offline, LUNGFISH_OFFLINE and HF_HUB_OFFLINE where there is a network.",
        )
    return record.entry if record else None


def _git_entry(text: str, arch: str | None) -> WeightsEntry:
    name = parse_git(text)
    if arch is None:
        raise UsageError(
            f"{printable(text)} does not say which network it holds",
            NAME_IT,
        )
    return replace(
        INCOMPLETE,
        name=text,
        arch=arch,
        location=str(name),
        source=f"{name.url} at {name.commit[:12]}",
        license_source="not looked for: the license of a repository need not be that of its weights",
        url=name.url,
    )


def _without_scheme(name: str) -> WeightsEntry:
    """A bundle, or a mistyped name."""
    path = Path(name)
    try:
        if name and path.is_dir():
            return bundle_entry(name)
        is_file = path.is_file()
    except OSError:  # a name that no file can have
        is_file = False
    if is_file:
        raise UsageError(f"{printable(name)} is a file; weights from a file need a scheme", f"Write file:{name}.")
    if "/" in name or os.sep in name:
        raise UsageError(f"there is no folder {printable(name)}", f"Allowed: {FORMS}.")
    try:
        return find_entry(name)
    except UnknownNameError as error:
        hint = (
            error.hint if error.hint.startswith("Did") else f"Allowed: {FORMS}. lungfish weights list shows the sets."
        )
        raise UnknownNameError(error.message, hint) from None
