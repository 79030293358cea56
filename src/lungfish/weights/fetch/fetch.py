"""Fetch one set of weights: check the license, then take its file from a cache or the network, and verify it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from lungfish.core.errors import MissingExtraError, StorageError, WeightsError
from lungfish.core.files import storage_errors
from lungfish.core.names import printable
from lungfish.core.own_files import delete_own
from lungfish.core.progress import Progress
from lungfish.core.request import is_offline
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.caches import Candidate
from lungfish.weights.fetch.checksum import verify_checksum
from lungfish.weights.fetch.locate import is_in_place, locate, place
from lungfish.weights.license import check_license
from lungfish.weights.scheme import parse_hub
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store


@dataclass(frozen=True)
class FetchOptions:
    """How to fetch.

    Args:
        offline: Whether to stay offline; `LUNGFISH_OFFLINE=1` and `HF_HUB_OFFLINE=1` do the same.
        accept_license: SPDX identifier that the user accepts, for a license that is not permissive.
        progress: Receives the progress of the download.
    """

    offline: bool = False
    accept_license: str | None = None
    progress: Progress = field(default_factory=Progress)


def fetch(entry: WeightsEntry, options: FetchOptions | None = None) -> WeightsRecord:
    """Bring weights onto this machine, unless they are already there.

    https: locations are requested from `LUNGFISH_MIRROR`, if set, as `MIRROR/HOST/PATH`; hf: ones from `HF_ENDPOINT`.

    Args:
        entry: Weights to fetch. Hash and size are verified where they are known. If no hash was published, later
            fetches must match the first one.
        options: How to fetch.

    Returns:
        The stored record; `file_of` returns its file.

    Raises:
        LicenseError: The license was not accepted.
        WeightsError: The file is not the published one, or cannot be used.
        DownloadError: The file cannot be downloaded.
        StorageError: The cache cannot be written.
        MissingExtraError: A required package is not installed.
    """
    options, store = options or FetchOptions(), Store()
    accepted = check_license(entry, options.accept_license or _accepted_before(store, entry))
    record = _local_record(store, entry, accepted)
    if record is None and is_in_place(entry):
        record = _record_in_place(store, entry, accepted, options)
    elif record is None:
        with store.lock(entry.name, options.progress):
            record = _local_record(store, entry, accepted) or _add_to_store(store, entry, accepted, options)
    store.touch(entry.name)
    return record


def file_of(record: WeightsRecord) -> Path:
    """Return the file of fetched weights, or the archive member that their location names; for TensorFlow the prefix.

    Raises:
        WeightsError: The file is gone, or was altered.
    """
    store = Store()
    file = _file(store, record.entry)
    if file is None:
        name = printable(record.entry.name)
        raise WeightsError(f"the file of {name} is gone or was altered", f"Run: lungfish weights fetch {name}")
    store.touch(record.entry.name)
    return file


def record_of(entry: WeightsEntry, store: Store | None = None) -> WeightsRecord | None:
    """Return the stored record, or None if it describes a file other than the entry's: a name may be reused."""
    record = (store or Store()).record(entry.name)
    return record if record is not None and _is_same(entry, record.entry) else None


def local_file(entry: WeightsEntry) -> Path | None:
    """Return the entry's file if it is on this machine and unaltered. Never uses the network."""
    store = Store()
    record = record_of(entry, store)
    if record is not None:
        return _file(store, record.entry)
    return _file(store, entry) if is_in_place(entry) else None


def _is_same(entry: WeightsEntry, known: WeightsEntry) -> bool:
    """Return whether `known`, from a record, describes the file that `entry` means."""
    published = (
        entry.sha256 in ("", known.sha256) and entry.digest in ("", known.digest) and entry.bytes in (None, known.bytes)
    )
    if not published:
        return False
    if not (entry.location.startswith("hf:") and known.location.startswith("hf:")):
        return entry.location == known.location
    requested, stored = parse_hub(entry.location), parse_hub(known.location)
    moving = not requested.is_pinned  # a branch stands for the commit of the first fetch
    return replace(requested, revision=stored.revision if moving else requested.revision) == stored


def _file(store: Store, entry: WeightsEntry) -> Path | None:
    """Return the unaltered file of an entry, or None."""
    if is_in_place(entry):
        try:
            file = place(entry)
            verify_checksum(entry, file)
        except (MissingExtraError, WeightsError):
            return None
        return file
    member = entry.location.partition("!")[2]
    if not member:
        return store.blob(entry.sha256)
    folder = store.unpacked(entry.sha256)
    return folder and _member(folder, member)


def _member(folder: Path, member: str) -> Path:
    """Return a file of an archive, or the prefix of a checkpoint in it."""
    path = folder / member
    inside = path.resolve().is_relative_to(folder.resolve())
    if not inside or not (path.is_file() or path.with_name(f"{path.name}.index").is_file()):
        raise WeightsError(f"the archive contains no {printable(member)}", "Is this the address of another archive?")
    return path


def _accepted_before(store: Store, entry: WeightsEntry) -> str | None:
    """Return the license that the user accepted before for these weights, or for those that they were trained from."""
    known = record_of(entry, store)
    if known and known.accepted_license:
        return known.accepted_license
    origins = (record for record in store.records() if entry.trained_from and record.entry.sha256 == entry.trained_from)
    return next((record.accepted_license for record in origins if record.accepted_license), None)


def _local_record(store: Store, entry: WeightsEntry, accepted: str) -> WeightsRecord | None:
    """Return the record, updated from `entry`, if the file is on this machine."""
    record = record_of(entry, store)
    if record is None or _file(store, record.entry) is None:
        return None
    current_entry = record.entry
    if entry.converter:
        current_entry = replace(
            entry, location=current_entry.location, sha256=current_entry.sha256, bytes=current_entry.bytes
        )
    current = replace(record, accepted_license=accepted)
    if current_entry != record.entry:  # corrected in the catalogue: derived values are outdated
        current = replace(current, entry=current_entry, converted_sha256="", verified=None)
    if current != record:
        store.write_record(current)
    return current


def _record_in_place(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> WeightsRecord:
    """Return the record of a file that is used in place, even if the cache cannot be written."""
    _, record = _find(store, entry, accepted, options)
    with contextlib.suppress(StorageError), store.changing():
        store.write_record(record)
    return record


def forget(record: WeightsRecord) -> None:
    """Delete a record, and its file unless other weights share it, to make the next fetch start over.

    Raises:
        StorageError: The cache cannot be changed.
    """
    store, sha256 = Store(), record.entry.sha256
    with store.changing(), storage_errors(store.folder):
        store.record_file(record.entry.name).unlink(missing_ok=True)
        if (blob := store.blob(sha256)) and all(other.entry.sha256 != sha256 for other in store.records()):
            blob.unlink()


def _add_to_store(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> WeightsRecord:
    """Find or download the file, and write the record. The caller holds the lock of the weights."""
    folder = store.downloads(entry.name)
    found, record = _find(store, entry, accepted, options)
    with store.changing():
        is_new = store.blob(record.entry.sha256) is None
        if is_new:
            store.add(found.file, move=found.file.is_relative_to(folder))
        try:
            file = _file(store, record.entry)
        except WeightsError:  # an archive that cannot be read
            if is_new and (blob := store.blob(record.entry.sha256)):
                blob.unlink()
            raise
        if file is None:
            raise WeightsError(f"the file of {printable(entry.name)} changed while it was read", "Fetch it again.")
        store.write_record(record)
    delete_own(folder, store.folder)
    return record


def _find(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> tuple[Candidate, WeightsRecord]:
    """Return the file and its record, which is not stored yet."""
    found, current_entry = _locate(store, entry, options)
    if not current_entry.converter:
        from lungfish.weights.resolve.completion import complete

        current_entry = complete(current_entry, found.file)
    return found, WeightsRecord(
        current_entry, datetime.now(UTC).isoformat(timespec="seconds"), accepted, origin=found.origin
    )


def _locate(store: Store, entry: WeightsEntry, options: FetchOptions) -> tuple[Candidate, WeightsEntry]:
    """Locate the file. If the stored file is gone and has no published hash, the new one must match the first fetch."""
    record, offline = store.record(entry.name), options.offline or is_offline()
    if record is None or entry.sha256 or is_in_place(entry) or not _is_same(entry, record.entry):
        return locate(store, entry, options.progress, offline=offline)
    first = record.entry
    expected = replace(entry, location=first.location, sha256=first.sha256, bytes=first.bytes)
    try:
        return locate(store, expected, options.progress, offline=offline)
    except WeightsError as error:
        kept = printable(str(store.record_file(entry.name)))
        hint = f"It differs from the file first fetched on {record.fetched}. To accept the new file, delete {kept}"
        raise WeightsError(error.message, hint) from None
