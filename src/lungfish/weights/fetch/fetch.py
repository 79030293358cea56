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
from lungfish.core.progress import Progress, Silent
from lungfish.core.request import is_offline
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.caches import Candidate
from lungfish.weights.fetch.identity import identify
from lungfish.weights.fetch.obtain import is_in_place, obtain, place
from lungfish.weights.license import check_license
from lungfish.weights.scheme import parse_hub
from lungfish.weights.store.ledger import Card
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
    progress: Progress = field(default_factory=Silent)


def fetch(entry: WeightsEntry, options: FetchOptions | None = None) -> Card:
    """Bring a set of weights onto this machine, or find it there.

    An https: location is asked of `LUNGFISH_MIRROR` if that is set: `MIRROR/HOST/PATH`; hf: ones of `HF_ENDPOINT`.

    Args:
        entry: which; what it knows of hash and size is checked. A hash that was never published is that of the first
            fetch, and stays.
        options: how.

    Returns:
        The card, as the ledger keeps it; `file_of` tells where the file is.

    Raises:
        LicenseError: the license was not accepted.
        WeightsError: the file is not the one that was published, or cannot be used.
        DownloadError: it cannot be had.
        StorageError: the cache cannot be written.
        MissingExtraError: a package that is needed is not installed.
    """
    options, store = options or FetchOptions(), Store()
    accepted = check_license(entry, options.accept_license or _accepted_before(store, entry))
    card = _held(store, entry, accepted)
    if card is None and is_in_place(entry):
        card = _note(store, entry, accepted, options)
    elif card is None:
        with store.lock(entry.name, options.progress):
            card = _held(store, entry, accepted) or _take_in(store, entry, accepted, options)
    store.touch(entry.name)
    return card


def file_of(card: Card) -> Path:
    """The file of a set that was fetched, or of the member that its location names; a TensorFlow checkpoint's prefix.

    Raises:
        WeightsError: it is gone, or was altered.
    """
    store = Store()
    file = _file(store, card.entry)
    if file is None:
        name = printable(card.entry.name)
        raise WeightsError(f"the file of {name} is gone or was altered", f"Run: lungfish weights fetch {name}")
    store.touch(card.entry.name)
    return file


def card_of(entry: WeightsEntry, store: Store | None = None) -> Card | None:
    """The ledger's card, if it is of the file that the entry means: names alone may be those of other files."""
    card = (store or Store()).card(entry.name)
    return card if card is not None and _is_same(entry, card.entry) else None


def at_hand(entry: WeightsEntry) -> Path | None:
    """The entry's file, if this machine holds it, unaltered; nobody is asked."""
    store = Store()
    card = card_of(entry, store)
    if card is not None:
        return _file(store, card.entry)
    return _file(store, entry) if is_in_place(entry) else None


def _is_same(entry: WeightsEntry, known: WeightsEntry) -> bool:
    """Whether `known`, of a card, is of the file that `entry` means."""
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
            identify(entry, file)
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
    known = card_of(entry, store)
    if known and known.accepted_license:
        return known.accepted_license
    origins = (card for card in store.cards() if entry.trained_from and card.entry.sha256 == entry.trained_from)
    return next((card.accepted_license for card in origins if card.accepted_license), None)


def _held(store: Store, entry: WeightsEntry, accepted: str) -> Card | None:
    """The card, brought up to what `entry` says, if the file is here."""
    card = card_of(entry, store)
    if card is None or _file(store, card.entry) is None:
        return None
    held = card.entry
    if entry.converter:
        held = replace(entry, location=held.location, sha256=held.sha256, bytes=held.bytes)
    current = replace(card, accepted_license=accepted)
    if held != card.entry:  # the catalogue was corrected: what was made by the old entry no longer holds
        current = replace(current, entry=held, converted_sha256="", verified=None)
    if current != card:
        store.write_card(current)
    return current


def _note(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> Card:
    """The card of a file that is used where it is: a cache that cannot be written is no hindrance."""
    _, card = _found(store, entry, accepted, options)
    with contextlib.suppress(StorageError), store.changing():
        store.write_card(card)
    return card


def forget(card: Card) -> None:
    """Delete a card, and its file if no other set has it: the next fetch brings it anew. Raises `StorageError`."""
    store, sha256 = Store(), card.entry.sha256
    with store.changing(), storage_errors(store.folder):
        store.card_file(card.entry.name).unlink(missing_ok=True)
        if (blob := store.blob(sha256)) and all(other.entry.sha256 != sha256 for other in store.cards()):
            blob.unlink()


def _take_in(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> Card:
    """Find or download the file, and write the card. The set's lock is held."""
    folder = store.downloads(entry.name)
    found, card = _found(store, entry, accepted, options)
    with store.changing():
        is_new = store.blob(card.entry.sha256) is None
        if is_new:
            store.add(found.file, move=found.file.is_relative_to(folder))
        try:
            file = _file(store, card.entry)
        except WeightsError:  # an archive that cannot be read
            if is_new and (blob := store.blob(card.entry.sha256)):
                blob.unlink()
            raise
        if file is None:
            raise WeightsError(f"the file of {printable(entry.name)} changed while it was read", "Fetch it again.")
        store.write_card(card)
    delete_own(folder, store.folder)
    return card


def _found(store: Store, entry: WeightsEntry, accepted: str, options: FetchOptions) -> tuple[Candidate, Card]:
    """The file, and its card, which is nowhere yet."""
    found, held = _obtained(store, entry, options)
    if not held.converter:
        from lungfish.weights.resolve.completion import complete

        held = complete(held, found.file)
    return found, Card(held, datetime.now(UTC).isoformat(timespec="seconds"), accepted, origin=found.origin)


def _obtained(store: Store, entry: WeightsEntry, options: FetchOptions) -> tuple[Candidate, WeightsEntry]:
    """What `obtain` finds. If no hash was published and the file is gone, the hash of the first fetch must agree."""
    card, offline = store.card(entry.name), options.offline or is_offline()
    if card is None or entry.sha256 or is_in_place(entry) or not _is_same(entry, card.entry):
        return obtain(store, entry, options.progress, offline=offline)
    first = card.entry
    expected = replace(entry, location=first.location, sha256=first.sha256, bytes=first.bytes)
    try:
        return obtain(store, expected, options.progress, offline=offline)
    except WeightsError as error:
        kept = printable(str(store.card_file(entry.name)))
        hint = f"It is not what was first fetched, on {card.fetched}. To take it as it is now, delete {kept}"
        raise WeightsError(error.message, hint) from None
