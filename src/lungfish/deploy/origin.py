"""Record in a bundle which pretrained weights it is based on."""

from __future__ import annotations

from dataclasses import replace

from lungfish.runtime.manifest import WeightsOrigin
from lungfish.weights.scheme import FILE
from lungfish.weights.store.record import WeightsRecord


def origin(record: WeightsRecord) -> WeightsOrigin:
    """Return the weights record for a bundle. Paths on this machine are reduced to file names."""
    entry = record.entry
    arch, location = (_without_folders(text) for text in (entry.arch, entry.location))
    public = replace(record, entry=replace(entry, arch=arch, location=location))
    return WeightsOrigin(entry.name, entry.source, entry.license, entry.sha256, public.to_json())


def _without_folders(text: str) -> str:
    """Return the last part of a `file:` location, or of the path of an architecture's JSON file."""
    if not text.startswith(FILE) and not text.endswith(".json"):
        return text
    prefix = FILE if text.startswith(FILE) else ""
    return prefix + text.removeprefix(FILE).replace("\\", "/").rpartition("/")[2]
