"""Convert fetched weights once to a file with our own names, stored by hash next to the original."""

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
    """Fetch and convert weights. The record is the same whichever command needs them first.

    A local file is read directly if the cache cannot be written. A downloaded file that cannot be read and has no
    published hash is not kept. Raises the errors of `fetch` and `convert_fetched`.
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
    """Convert the file of a record if necessary, and return the record with the hash of the converted file.

    Files with our names, and those in Python packages, are read directly.

    Raises:
        WeightsError: The file belongs to another network, or cannot be read.
        MissingExtraError: The package that reads it is not installed.
        StorageError: The cache cannot be written.
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
    """Return the converted file of fetched weights, or None if there is none."""
    store = Store()
    record = store.record(entry.name)
    if record is None or record.entry.sha256 != entry.sha256 or not record.converted_sha256:
        return None
    return store.blob(record.converted_sha256)
