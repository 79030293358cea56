"""What was fetched, as a file with our own names: converted once, kept by its hash beside the original."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from lungfish.architecture import parse_arch
from lungfish.core.errors import StorageError, WeightsError
from lungfish.core.files import storage_errors
from lungfish.core.folders import make_folder
from lungfish.weights.convert.to_file import Provenance, convert_file
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import FetchOptions, fetch, file_of, forget
from lungfish.weights.fetch.obtain import is_in_place
from lungfish.weights.fetch.package import PACKAGE
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.store.ledger import Card
from lungfish.weights.store.store import Store


def fetch_converted(entry: WeightsEntry, options: FetchOptions | None = None) -> Card:
    """As `fetch`, and the converted file: the same card, whichever command is the first to need the set.

    A file of this machine needs no cache that can be written, and is then read as it is. One that came from elsewhere,
    cannot be read, and was never published as such, is not kept. Raises as both.
    """
    card = fetch(entry, options)
    try:
        return convert_fetched(card)
    except StorageError:
        if is_in_place(card.entry):
            return card
        raise
    except WeightsError:
        if not (entry.is_published or is_in_place(card.entry)):
            forget(card)
        raise


def convert_fetched(card: Card) -> Card:
    """The card with the hash of the converted file, which is made now if need be.

    Files that have our names already, and those that a Python package carries, are read as they are.

    Raises:
        WeightsError: the file is of another network, or cannot be read.
        MissingExtraError: the package that reads it is not installed.
        StorageError: the cache cannot be written.
    """
    entry, store = card.entry, Store()
    if entry.converter == OURS or entry.location.startswith(PACKAGE):
        return card
    if card.converted_sha256 and store.blob(card.converted_sha256):
        return card
    with storage_errors(store.folder):
        make_folder(store.folder)
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=".convert-") as folder:
            out = Path(folder) / "converted.safetensors"
            convert_file(file_of(card), parse_arch(entry.arch), entry.converter, out, Provenance.of(entry))
            with store.changing():
                card = replace(card, converted_sha256=store.add(out, move=True))
                store.write_card(card)
    return card


def converted_file(entry: WeightsEntry) -> Path | None:
    """The converted file of an entry that was fetched, or None if there is none."""
    store = Store()
    card = store.card(entry.name)
    if card is None or card.entry.sha256 != entry.sha256 or not card.converted_sha256:
        return None
    return store.blob(card.converted_sha256)
