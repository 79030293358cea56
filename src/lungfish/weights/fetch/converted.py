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
from lungfish.weights.fetch.locate import is_in_place
from lungfish.weights.fetch.package import PACKAGE
from lungfish.weights.layouts.detection import OURS
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store


def fetch_converted(entry: WeightsEntry, options: FetchOptions | None = None) -> WeightsRecord:
    """As `fetch`, and the converted file: the same record, whichever command is the first to need the set.

    A file of this machine needs no cache that can be written, and is then read as it is. One that came from elsewhere,
    cannot be read, and was never published as such, is not kept. Raises as both.
    """
    record = fetch(entry, options)
    try:
        return convert_fetched(record)
    except StorageError:
        if is_in_place(record.entry):
            return record
        raise
    except WeightsError:
        if not (entry.is_published or is_in_place(record.entry)):
            forget(record)
        raise


def convert_fetched(record: WeightsRecord) -> WeightsRecord:
    """The record with the hash of the converted file, which is made now if need be.

    Files that have our names already, and those that a Python package carries, are read as they are.

    Raises:
        WeightsError: the file is of another network, or cannot be read.
        MissingExtraError: the package that reads it is not installed.
        StorageError: the cache cannot be written.
    """
    entry, store = record.entry, Store()
    if entry.converter == OURS or entry.location.startswith(PACKAGE):
        return record
    if record.converted_sha256 and store.blob(record.converted_sha256):
        return record
    with storage_errors(store.folder):
        make_folder(store.folder)
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=".convert-") as folder:
            out = Path(folder) / "converted.safetensors"
            convert_file(file_of(record), parse_arch(entry.arch), entry.converter, out, Provenance.of(entry))
            with store.changing():
                record = replace(record, converted_sha256=store.add(out, move=True))
                store.write_record(record)
    return record


def converted_file(entry: WeightsEntry) -> Path | None:
    """The converted file of an entry that was fetched, or None if there is none."""
    store = Store()
    record = store.record(entry.name)
    if record is None or record.entry.sha256 != entry.sha256 or not record.converted_sha256:
        return None
    return store.blob(record.converted_sha256)
