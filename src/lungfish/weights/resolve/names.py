"""Resolve a name of weights in any of the supported forms."""

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
    """Return the weights that a typed name stands for.

    Weights from the hub or git that were fetched before keep the entry in their record.

    Args:
        name: `ARCH.TAG` of the catalogue, `timm:...`, `torchvision:...`, `keras:...`,
            `hf:OWNER/REPO[@REVISION][/FILE]`, `git+https://HOST/OWNER/REPO@COMMIT#PATH`, `file:PATH`, `tf:PREFIX`,
            or the folder of a bundle.
        arch: Name of the network, for weights that do not state it. If they do, it must match, except for the
            classifier.
        offline: Whether to stay offline.

    Returns:
        The entry. Its `converter` is empty if only the file determines it; see `complete`.

    Raises:
        UnknownNameError: Nothing has that name; the hint lists close matches.
        UsageError: The scheme is unknown, the name does not have the scheme's form, or the network must be given.
        BundleError: The folder is not a bundle.
        WeightsError: The file cannot be read, the weights belong to a network other than `arch`, or they were
            never fetched and offline mode is on.
        DownloadError: The hub cannot be reached.
        MissingExtraError: A required package is not installed.
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
        raise UsageError(f"{printable(name)!r} does not begin with a known scheme", f"Allowed: {FORMS}.")
    return _without_scheme(name)


def _fetched(name: str, *, offline: bool) -> WeightsEntry | None:
    """Return the entry of weights that were fetched under that name."""
    record = Store().record(name)
    if record is None and (offline or is_offline()):
        raise WeightsError(
            f"{printable(name)} has not been fetched, and offline mode is on",
            "With a network connection, omit --offline and unset LUNGFISH_OFFLINE and HF_HUB_OFFLINE.",
        )
    return record.entry if record else None


def _git_entry(text: str, arch: str | None) -> WeightsEntry:
    name = parse_git(text)
    if arch is None:
        raise UsageError(
            f"{printable(text)} does not state its network",
            NAME_IT,
        )
    return replace(
        INCOMPLETE,
        name=text,
        arch=arch,
        location=str(name),
        source=f"{name.url} at {name.commit[:12]}",
        license_source="not looked up: a repository's license need not apply to its weights",
        url=name.url,
    )


def _without_scheme(name: str) -> WeightsEntry:
    """Return the entry of a bundle, or raise an error for a mistyped name."""
    path = Path(name)
    try:
        if name and path.is_dir():
            return bundle_entry(name)
        is_file = path.is_file()
    except OSError:  # not a valid file name
        is_file = False
    if is_file:
        raise UsageError(f"{printable(name)} is a file; weights from a file need a scheme", f"Write file:{name}.")
    if "/" in name or os.sep in name:
        raise UsageError(f"there is no folder {printable(name)}", f"Allowed: {FORMS}.")
    try:
        return find_entry(name)
    except UnknownNameError as error:
        hint = error.hint if error.hint.startswith("Did") else f"Allowed: {FORMS}. See: lungfish weights list"
        raise UnknownNameError(error.message, hint) from None
