"""One set of weights onto this machine: license first, then its file, from a cache or the network, checked."""

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
        offline: ask nobody; also if `LUNGFISH_OFFLINE` or `HF_HUB_OFFLINE` is 1.
        accept_license: SPDX identifier that a person accepts, where it is not a permissive one.
        progress: told of the bytes.
    """

    offline: bool = False
    accept_license: str | None = None
    progress: Progress = field(default_factory=Progress)


def fetch(entry: WeightsEntry, options: FetchOptions | None = None) -> WeightsRecord:
    """Bring a set of weights onto this machine, or find it there.

    An https: location is asked of `LUNGFISH_MIRROR` if that is set: `MIRROR/HOST/PATH`; hf: ones of `HF_ENDPOINT`.

    Args:
        entry: which; what it knows of hash and size is checked. A hash that was never published is that of the first
            fetch, and stays.
        options: how.

    Returns:
        The record, as the ledger keeps it; `file_of` tells where the file is.

    Raises:
        LicenseError: the license was not accepted.
        WeightsError: the file is not the one that was published, or cannot be used.
        DownloadError: it cannot be had.
        StorageError: the cache cannot be written.
        MissingExtraError: a package that is needed is not installed.
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
    """The file of a set that was fetched, or of the member that its location names; a TensorFlow checkpoint's prefix.

    Raises:
        WeightsError: it is gone, or was altered.
    """
    store = Store()
    file = _file(store, record.entry)
    if file is None:
        name = printable(record.entry.name)
        raise WeightsError(f"the file of {name} is gone or was altered", f"Run: lungfish weights fetch {name}")
    store.touch(record.entry.name)
    return file


def record_of(entry: WeightsEntry, store: Store | None = None) -> WeightsRecord | None:
    """The ledger's record, if it is of the file that the entry means: names alone may be those of other files."""
    record = (store or Store()).record(entry.name)
    return record if record is not None and _is_same(entry, record.entry) else None


def local_file(entry: WeightsEntry) -> Path | None:
    """The entry's file, if this machine holds it, unaltered; nobody is asked."""
    store = Store()
    record = record_of(entry, store)
    if record is not None:
        return _file(store, record.entry)
    return _file(store, entry) if is_in_place(entry) else None


def _is_same(entry: WeightsEntry, known: WeightsEntry) -> bool:
    """Whether `known`, of a record, is of the file that `entry` means."""
    published = (
        entry.sha256 in ("", known.sha256) and entry.digest in ("", known.digest) and entry.bytes in (None, known.bytes)
    )
    if not published:
        return False
    if not (entry.location.startswith("hf:") and known.location.startswith("hf:")):
        return entry.location == known.location
    wanted, held = parse_hub(entry.location), parse_hub(known.location)
    moving = not wanted.is_pinned  # a branch: what it was at the first fetch
    return replace(wanted, revision=held.revision if moving else wanted.revision) == held


def _file(store: Store, entry: WeightsEntry) -> Path | None:
    """The unaltered file of an entry, or None."""
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
    """A file of an archive, or a checkpoint's prefix in it."""
    path = folder / member
    inside = path.resolve().is_relative_to(folder.resolve())
    if not inside or not (path.is_file() or path.with_name(f"{path.name}.index").is_file()):
        raise WeightsError(f"the archive holds no {printable(member)}", "Is the address that of another archive?")
    return path


def _accepted_before(store: Store, entry: WeightsEntry) -> str | None:
    """What a person accepted here for this very set, or for the one that it was trained from."""
    known = record_of(entry, store)
    if known and known.accepted_license:
        return known.accepted_license
    origins = (record for record in store.records() if entry.trained_from and record.entry.sha256 == entry.trained_from)
    return next((record.accepted_license for record in origins if record.accepted_license), None)


def _local_record(store: Store, entry: WeightsEntry, accepted: str) -> WeightsRecord | None:
    """The record, brought up to what `entry` says, if the file is here."""
    record = record_of(entry, store)
    if record is None or _file(store, record.entry) is None:
        return None
    held = record.entry
    if entry.converter:
        held = replace(entry, location=held.location, sha256=held.sha256, bytes=held.bytes)
    current = replace(record, accepted_license=accepted)
    if held != record.entry:  # the catalogue was corrected: what was made by the old entry no longer holds
        current = replace(current, entry=held, converted_sha256="", verified=None)
    if current != record:
        store.write_record(current)
    return current


def _record_in_place(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> WeightsRecord:
    """The record of a file that is used where it is: a cache that cannot be written is no hindrance."""
    _, record = _found(store, entry, accepted, options)
    with contextlib.suppress(StorageError), store.changing():
        store.write_record(record)
    return record


def forget(record: WeightsRecord) -> None:
    """Delete a record, and its file if no other set has it: the next fetch brings it anew. Raises `StorageError`."""
    store, sha256 = Store(), record.entry.sha256
    with store.changing(), storage_errors(store.folder):
        store.record_file(record.entry.name).unlink(missing_ok=True)
        if (blob := store.blob(sha256)) and all(other.entry.sha256 != sha256 for other in store.records()):
            blob.unlink()


def _add_to_store(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> WeightsRecord:
    """Find or download the file, and write the record. The set's lock is held."""
    folder = store.downloads(entry.name)
    found, record = _found(store, entry, accepted, options)
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


def _found(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> tuple[Candidate, WeightsRecord]:
    """The file, and its record, which is nowhere yet."""
    found, held = _located(store, entry, options)
    if not held.converter:
        from lungfish.weights.resolve.completion import complete

        held = complete(held, found.file)
    return found, WeightsRecord(held, datetime.now(UTC).isoformat(timespec="seconds"), accepted, origin=found.origin)


def _located(store: Store, entry: WeightsEntry, options: FetchOptions) -> tuple[Candidate, WeightsEntry]:
    """What `locate` finds. If no hash was published and the file is gone, the hash of the first fetch must agree."""
    record, offline = store.record(entry.name), options.offline or is_offline()
    if record is None or entry.sha256 or is_in_place(entry) or not _is_same(entry, record.entry):
        return locate(store, entry, options.progress, offline=offline)
    first = record.entry
    expected = replace(entry, location=first.location, sha256=first.sha256, bytes=first.bytes)
    try:
        return locate(store, expected, options.progress, offline=offline)
    except WeightsError as error:
        kept = printable(str(store.record_file(entry.name)))
        hint = f"It is not what was first fetched, on {record.fetched}. To take it as it is now, delete {kept}"
        raise WeightsError(error.message, hint) from None
