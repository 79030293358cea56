"""Locate the file of an entry on this machine, or download it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lungfish.core.address import Route, shown
from lungfish.core.download import Remote, download
from lungfish.core.errors import DownloadError, WeightsError
from lungfish.core.files import storage_errors
from lungfish.core.folders import make_folder
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.core.untrusted import is_plain_name
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.caches import Candidate, cached_elsewhere
from lungfish.weights.fetch.checksum import verify_checksum
from lungfish.weights.fetch.package import PACKAGE, packaged_file
from lungfish.weights.scheme import FILE, parse_hub
from lungfish.weights.services.hub import access_token, file_url, pin
from lungfish.weights.store.store import Store


def is_in_place(entry: WeightsEntry) -> bool:
    """Return whether the file is used where it is, without a copy in the store."""
    return entry.location.startswith((PACKAGE, FILE))


def place(entry: WeightsEntry) -> Path:
    """Return the path of a file that is used in place. Raises `MissingExtraError` if its package is not installed."""
    return packaged_file(entry) if entry.location.startswith(PACKAGE) else Path(entry.location.removeprefix(FILE))


def locate(store: Store, entry: WeightsEntry, progress: Progress, *, offline: bool) -> tuple[Candidate, WeightsEntry]:
    """Find or download the file of an entry. It is not added to the store, but may be there already.

    The caller holds the lock of the weights.

    Returns:
        The file, and the entry with its hash, size and revision.

    Raises:
        WeightsError: The file is not the published one.
        DownloadError: The file cannot be downloaded.
        StorageError: The cache cannot be written.
        MissingExtraError: A required package is not installed.
    """
    if is_in_place(entry):
        origin = "a Python package" if entry.location.startswith(PACKAGE) else "a local file"
        found = Candidate(place(entry), origin, entry.location)
        return found, verify_checksum(entry, found.file)
    target = store.downloads(entry.name) / _file_name(entry)
    for candidate in _on_this_machine(store, entry, target):
        try:
            verified = verify_checksum(replace(entry, location=candidate.location), candidate.file)
        except WeightsError as error:
            progress.warn(f"skipped {candidate.origin}: {error.message}")
            continue
        progress.say(f"{printable(entry.name)}: taken from {candidate.origin}")
        return candidate, verified
    if offline:
        raise DownloadError(
            f"{printable(entry.name)} is not on this machine, and offline mode is on",
            f"Download {_address(entry)} elsewhere and save it as {printable(str(target))}",
        )
    return _over_the_network(entry, target, progress)


def _on_this_machine(store: Store, entry: WeightsEntry, target: Path) -> Iterator[Candidate]:
    blob = store.blob(entry.sha256) if entry.sha256 else None
    if blob:
        yield Candidate(blob, "Lungfish's cache", entry.location)
    if target.is_file():  # saved by hand, or completed by a download that was killed afterwards
        yield Candidate(target, "the download folder", entry.location)
    yield from cached_elsewhere(entry)


def _over_the_network(entry: WeightsEntry, target: Path, progress: Progress) -> tuple[Candidate, WeightsEntry]:
    address = entry.location.partition("!")[0]
    if address.startswith("git+"):
        from lungfish.weights.services.git import clone_file

        with storage_errors(target.parent):
            make_folder(target.parent)
        target, origin = clone_file(address, target.parent), shown(address)
    elif address.startswith("hf:"):
        entry = entry if parse_hub(address).is_pinned else pin(entry)
        route = Route(file_url(entry.location), chosen=bool(os.environ.get("HF_ENDPOINT")))
        origin = shown(route.start)
        download(Remote(route, access_token(), entry.bytes), target, progress)
    else:
        route = _mirrored(address)
        origin = shown(route.start)
        download(Remote(route, bytes=entry.bytes), target, progress)
    try:
        return Candidate(target, origin, entry.location), verify_checksum(entry, target)
    except WeightsError:
        target.unlink(missing_ok=True)
        raise


def _address(entry: WeightsEntry) -> str:
    """Return the address that would be requested, for display; for a file on the hub, one that a browser opens."""
    address = entry.location.partition("!")[0]
    if address.startswith("git+"):
        return printable(address)  # the path follows the hash sign
    return shown(file_url(address) if address.startswith("hf:") else _mirrored(address).start)


def _mirrored(url: str) -> Route:
    """Return the address, on the user's mirror if one is set."""
    mirror = os.environ.get("LUNGFISH_MIRROR", "").rstrip("/")
    return Route(f"{mirror}/{url.partition('://')[2]}", chosen=True) if mirror else Route(url)


def _file_name(entry: WeightsEntry) -> str:
    """Return the published file's name; readers choose the format by its suffix."""
    name = re.split(r"[/#]", entry.location.partition("!")[0])[-1]
    return name if is_plain_name(name) else "weights"
